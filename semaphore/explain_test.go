package semaphore_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
)

// TestExplainNamesAHeavyWaiterAhead: of a semaphore with free units the waiter is named whose
// weight does not fit, because those behind it wait for it.
func TestExplainNamesAHeavyWaiterAhead(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		sem := semaphore.New(s, "gpus", 4, nil)
		if e, err := sem.Explain(t.Context()); err != nil || len(e.Needs) > 0 {
			t.Errorf("not in use: %+v, %v", e, err)
		}
		held, err := sem.Acquire(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := sem.Explain(t.Context()); err != nil || len(e.Needs) > 0 {
			t.Errorf("one unit free: %+v, %v", e, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = semaphore.New(other, "gpus", 4, nil).Acquire(ctx, 2) }()
		synctest.Wait()
		e, err := sem.Explain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text := e.String()
		for _, want := range []string{
			"3 of 4 units are in use", "needs 2 units, and 1 are free", "1 that wait ahead",
			held.Key(), other.Lease().String(),
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not contain %q", text, want)
			}
		}
		cancel()
		synctest.Wait()
	})
}
