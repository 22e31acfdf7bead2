package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestReaderLeaves: of those who wait for items, one is told to read on where the known ones end.
// If its session or its ctx ends just then, the next one does it.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	const known = 256 // as many as are read at once
	type ending func(server *fakeetcd.Server, s *session.Session, cancel context.CancelFunc)
	for name, end := range map[string]ending{
		"session": func(server *fakeetcd.Server, s *session.Session, _ context.CancelFunc) {
			server.Revoke(s.Lease())
		},
		"ctx": func(_ *fakeetcd.Server, _ *session.Session, cancel context.CancelFunc) { cancel() },
	} {
		for range 2 { // the two may be seen in either order
			synctest.Test(t, func(t *testing.T) {
				server := fakeetcd.Start(t)
				other := queue.New(open(t, server.Client(t)), "jobs", nil)
				values := make([]string, known+1)
				for i := range values {
					values[i] = fmt.Sprint(i)
				}
				fill(t, other, values...)
				for _, v := range values[:known] {
					receive(t, other, v, 1)
				}
				if err := other.Pause(t.Context()); err != nil {
					t.Fatal(err)
				}
				c := server.Client(t)
				sessions := []*session.Session{open(t, c), open(t, c)}
				stays, left := make(chan error, 1), make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				within, enough := context.WithTimeout(t.Context(), 10*time.Second)
				defer enough()
				for i, wait := range []func(q *queue.Queue){
					func(q *queue.Queue) { _, _ = q.Receive(ctx); close(left) },
					func(q *queue.Queue) { _, err := q.Receive(within); stays <- err },
				} {
					go wait(queue.New(sessions[i], "jobs", nil))
					synctest.Wait()
				}
				server.Delete("jobs//paused")
				end(server, sessions[0], cancel)
				if err := <-stays; err != nil {
					t.Errorf("%s: %v", name, err)
				}
				cancel()
				<-left
			})
		}
	}
}
