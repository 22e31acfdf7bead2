package cron_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// slowContext stops the first call that asks it for a value, until it is released.
type slowContext struct {
	context.Context
	once          *sync.Once
	stopped, goOn chan struct{}
}

func (c slowContext) Value(key any) any {
	c.once.Do(func() {
		close(c.stopped)
		<-c.goOn
	})
	return c.Context.Value(key)
}

// TestConcurrentCompletes: the one that came too late does not hide the success of the other.
func TestConcurrentCompletes(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), nil)
		complete := func(ctx context.Context, tick *cron.Tick) error {
			ts.add(0, tick)
			slow := slowContext{ctx, new(sync.Once), make(chan struct{}), make(chan struct{})}
			late := make(chan error)
			go func() { late <- tick.Complete(slow) }()
			<-slow.stopped
			if err := tick.Complete(ctx); err != nil {
				t.Errorf("Complete = %v", err)
			}
			close(slow.goOn)
			if err := <-late; !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("the late Complete = %v", err)
			}
			return errOwn // is ignored
		}
		run(t.Context(), t, etcd, c, complete)
		time.Sleep(time.Second)
		run(t.Context(), t, etcd, c, ts.notes(1))
		time.Sleep(2*time.Minute + time.Second)
		all := ts.list()
		if len(all) != 2 || all[1].Replica != 0 {
			t.Errorf("the first replica has lost its place: %+v", all)
		}
	})
}
