package once_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/once"
)

// TestALongLineReceivesTheResult: callers that do not follow the whole line receive the result
// with two events each, of the result and of the predecessor.
func TestALongLineReceivesTheResult(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n, near = 50, 17 // near callers follow the line
		finish := make(chan struct{})
		var calls []<-chan outcome
		for range n {
			o := once.New(bubble.Session(t, etcd), name, nil)
			calls = append(calls, start(t.Context(), o,
				func(context.Context, *once.Run) ([]byte, error) {
					<-finish
					return []byte("result"), nil
				}))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		before := etcd.Events()
		close(finish)
		for _, done := range calls {
			want(t, <-done, "result", 1)
		}
		synctest.Wait()
		most := near*(n+1) + (n-near)*2
		if events := etcd.Events() - before; events > most {
			t.Errorf("%d events, want %d at most", events, most)
		}
	})
}
