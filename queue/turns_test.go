package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestStuckTurns: producers that stand in line and have been paused, or killed, do not hold up the
// others for as long as their leases last.
func TestStuckTurns(t *testing.T) {
	t.Parallel()
	for _, dead := range [][]string{{"jobs//w/dead"}, {"jobs//w/dead", "jobs//w/paused"}} {
		synctest.Test(t, func(t *testing.T) {
			server := fakeetcd.Start(t)
			other := open(t, server.Client(t))
			for _, key := range dead {
				if _, err := other.Client().Put(t.Context(), key, nil, gateway.WithLease(other.Lease())); err != nil {
					t.Fatal(err)
				}
			}
			q := queue.New(open(t, server.Client(t)), "jobs", nil)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for range 3 {
				if _, err := q.Enqueue(ctx, []byte("a"), nil); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if left := server.Keys("jobs//w/"); len(left) != len(dead) {
				t.Errorf("in the line: %v", left)
			}
			if items := server.Keys("jobs//q/"); len(items) != 3 {
				t.Errorf("items: %v", items)
			}
		})
	}
}
