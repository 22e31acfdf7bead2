package cron

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/internal/line"
)

// lineCopy is the latest known state of the line.
type lineCopy struct {
	wake chan struct{} // receives after a change

	mu       sync.Mutex
	snapshot line.Snapshot
	known    bool // there is a snapshot
	err      error
}

// follow keeps a copy of the line up to date, until ctx ends or stop is called.
func follow(ctx context.Context, l *line.Line) (_ *lineCopy, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	c := &lineCopy{wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for v, err := range l.Follow(ctx) {
			c.set(v, err)
		}
	}()
	return c, func() {
		cancel()
		<-done
	}
}

func (c *lineCopy) set(v line.Snapshot, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.snapshot, c.known = v, true
	}
	c.err = err
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *lineCopy) get() (_ line.Snapshot, known bool, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot, c.known, c.err
}
