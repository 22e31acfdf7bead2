package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestAClaimAheadThatAnOperatorDeletes is not delivered: another consumer may have the item.
func TestAClaimAheadThatAnOperatorDeletes(t *testing.T) {
	for name, maxAttempts := range map[string]int{"without": 0, "with MaxAttempts": 5} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				q := queue.New(open(t, etcd.Client(t)), "jobs", prefetching(1, maxAttempts))
				fill(t, q, "a", "b", "c")
				a := receive(t, q, "a", 1)
				time.Sleep(5 * time.Second)
				ahead := etcd.Keys(claims)[1]
				etcd.Delete(ahead)
				other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
				b := receive(t, other, "b", 1)
				synctest.Wait()
				c := receive(t, q, "c", 1)
				for _, m := range []*queue.Message{a, b, c} {
					ack(t, m)
				}
				if got := etcd.Keys("jobs//c/"); len(got) != 0 {
					t.Errorf("claims %q", got)
				}
			})
		})
	}
}
