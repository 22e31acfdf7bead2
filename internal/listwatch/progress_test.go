package listwatch

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// follower is a counter that is notified of progress.
type follower struct {
	counter
	progress []int64
}

func (f *follower) Progress(revision int64) { f.progress = append(f.progress, revision) }

// TestProgressOfACompleteCopy: before the read, and after the end of the watch, progress says
// nothing about the copy.
func TestProgressOfACompleteCopy(t *testing.T) {
	t.Parallel()
	var r follower
	c, w := newWatched(&r)
	report := func(revision int64) {
		c.handle(w, gateway.WatchResponse{Progress: true, Revision: revision})
	}
	c.handle(w, gateway.WatchResponse{Created: true})
	report(4)
	c.list(w, &gateway.GetResponse{Header: gateway.Header{Revision: 5}})
	report(7)
	c.handle(w, gateway.WatchResponse{Err: gateway.ErrCompacted})
	report(8)
	if len(r.progress) != 1 || r.progress[0] != 7 {
		t.Errorf("progress %v", r.progress)
	}
}

// TestBound: a cache whose buffer is full has failed.
func TestBound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bound int64
		want  error
	}{{0, nil}, {26, nil}, {25, ErrBuffer}} {
		var r counter
		c, w := newWatched(&r)
		c.Bound(tt.bound)
		c.handle(w, gateway.WatchResponse{Created: true})
		for revision := range int64(2) { // of a key of 3 bytes
			ev := event(6 + revision)
			ev.Events[0].KV.Value = []byte(strings.Repeat("x", 10))
			c.handle(w, ev)
		}
		c.list(w, &gateway.GetResponse{Header: gateway.Header{Revision: 5}})
		if err := c.Sync(t.Context()); !errors.Is(err, tt.want) || (r.applied == 2) != (tt.want == nil) {
			t.Errorf("bound %d: Sync = %v, %d events applied", tt.bound, err, r.applied)
		}
	}
}
