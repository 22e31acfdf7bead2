package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
)

// TestUrgentBesideDueItems: an urgent item is received at once although many delayed items are due.
func TestUrgentBesideDueItems(t *testing.T) {
	const due = 20_000
	name, s := fresh(t), plain(t)
	for i := 0; i < due; i += 100 {
		var ops []gateway.Op
		for n := i; n < i+100; n++ {
			id := fmt.Sprintf("a-%09d", n)
			ops = append(ops, gateway.OpPut(
				fmt.Sprintf("%s//d/%015d/%s", name, 1, id), fmt.Appendf(nil, "{\"id\":%q}\ndue", id)))
		}
		if _, err := s.Client().Txn(within(t, patience), gateway.Txn{Then: ops}); err != nil {
			t.Fatal(err)
		}
	}
	q := queue.New(s, name, nil)
	enqueue(t, q, &queue.EnqueueOptions{Priority: 9}, "urgent")
	begin := time.Now()
	ack(t, receive(t, q, "urgent", 1))
	first := time.Since(begin)
	ack(t, receive(t, q, "due", 1)) // nothing is ready, so this moves some
	enqueue(t, q, &queue.EnqueueOptions{Priority: 9}, "urgent")
	begin = time.Now()
	for n := 0; ; n++ {
		m, err := q.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		ack(t, m)
		if string(m.Value) == "urgent" {
			figure(t, "beside %d due items the urgent one took %v with the first read of the queue, "+
				"and %v after it, behind %d others", due, first.Round(time.Millisecond),
				time.Since(begin).Round(time.Millisecond), n)
			break
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond { // 50 ms on a quiet machine
		t.Errorf("the urgent item took %v", took)
	}
}
