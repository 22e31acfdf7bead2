package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestDedupLeaseAfterASleep: the lease of the de-duplication keys expires while the machine sleeps.
// So a key that is put after a sleep gets another lease, or it would be forgotten too soon. The
// test is not parallel, because it changes the clock of the whole process. The sleeps are too short
// for a session to be lost.
func TestDedupLeaseAfterASleep(t *testing.T) { //nolint:paralleltest // see above
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		window := 2 * time.Second
		p := queue.NewProducer(server.Client(t), "jobs", &queue.Options{DedupWindow: window})
		leaseOf := func(id string) gateway.LeaseID {
			t.Helper()
			opts := &queue.EnqueueOptions{DedupID: id}
			if _, err := p.Enqueue(t.Context(), nil, opts); err != nil {
				t.Fatal(err)
			}
			kv, _ := server.Get("jobs//u/" + id)
			return kv.Lease
		}
		before := leaseOf("before")
		clock.Sleep(window / 2)
		if short := leaseOf("short"); short != before {
			t.Error("another lease after a short sleep")
		}
		clock.Sleep(window)
		if long := leaseOf("long"); long == before {
			t.Error("the same lease after a sleep that was longer than the window")
		}
	})
}
