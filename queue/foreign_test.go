package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestForeignTimes: an item of another program whose time JSON cannot take is an item like any
// other, with the zero time.
func TestForeignTimes(t *testing.T) {
	t.Parallel()
	const micros = 1_732_158_400_000_000
	for _, ms := range []int64{micros, micros * 1000, -1, -1 << 63, 1<<63 - 1} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
			text := strconv.FormatInt(ms, 10)
			etcd.Put("jobs//q/9/0000000000000001",
				`{"id":"a","enqueued":`+text+`,"attempts":9223372036854775807}`+"\nvalue")
			etcd.Put("jobs//x/b", `{"id":"b","enqueued":`+text+`,"died":`+text+"}\nvalue")
			items, err := q.Peek(t.Context(), 1)
			if err != nil || len(items) != 1 || !items[0].Enqueued.IsZero() {
				t.Errorf("Peek = %+v, %v", items, err)
			}
			for d, err := range q.DeadLetters(t.Context()) {
				if _, bad := json.Marshal(d); err != nil || bad != nil {
					t.Errorf("dead letter %+v, %v, %v", d, err, bad)
				}
			}
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(m.Enqueued); err != nil || m.Attempt < 1 {
				t.Errorf("attempt %d: %v", m.Attempt, err)
			}
			ack(t, m)
		})
	}
}

// TestForeignDueKey: a key among the delayed items that does not sort by its number is not waited
// for in a hot loop.
func TestForeignDueKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		etcd.Put("jobs//d/5/x", "value")
		calls := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if calls++; calls > 100 {
				c.Sleep(time.Minute)
			}
			return c.Apply()
		})
		if _, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) || calls > 10 {
			t.Errorf("TryReceive = %v after %d requests", err, calls)
		}
		if _, ok := etcd.Get("jobs//d/5/x"); !ok {
			t.Error("the key has gone")
		}
	})
}

// TestClaimWithoutLease: a claim under no lease, whose consumer is dead, does not keep the item for
// ever.
func TestClaimWithoutLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		const place = "9/0000000000000001"
		etcd.Put("jobs//q/"+place, `{"id":"a"}`+"\nvalue")
		etcd.Put("jobs//c/"+place, "dead")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m, err := q.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ack(t, m)
	})
}

// TestClaimOfAnotherClient: a client that begins to read the queue leaves the claims of others
// alone. The fake omits leases from reads without values, as etcd 3.7 does.
func TestClaimOfAnotherClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		first := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		if _, err := first.Enqueue(t.Context(), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		m, err := first.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if again, err := other.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive = %v, %v", again, err)
		}
		ack(t, m)
	})
}

// TestClaimWithoutLeaseAfterALoss: if a session ends before it has deleted such a claim, the next
// one of the same client does, also where that waits already.
func TestClaimWithoutLeaseAfterALoss(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			client := etcd.Client(t)
			const place = "9/0000000000000001"
			claim := "jobs//c/" + place
			lost, next := open(t, client), open(t, client)
			etcd.Put("jobs//q/"+place, `{"id":"a"}`+"\nvalue")
			etcd.Put(claim, "dead")
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.IsTxn(claim) && c.IsTxn(lost.Lease().String()) {
					return fakeetcd.Lost
				}
				return c.Apply()
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			first := make(chan error, 1)
			go func() { _, err := queue.New(lost, "jobs", nil).Receive(ctx); first <- err }()
			time.Sleep(time.Second)
			if _, ok := etcd.Get(claim); !ok {
				t.Fatal("the claim has gone")
			}
			got := make(chan error, 1)
			receive := func() {
				m, err := queue.New(next, "jobs", nil).Receive(ctx)
				if err == nil {
					err = m.Ack(ctx)
				}
				got <- err
			}
			if waits {
				go receive()
				time.Sleep(time.Second)
			}
			etcd.Revoke(lost.Lease())
			if err := <-first; !errors.Is(err, session.ErrLost) {
				t.Fatal(err)
			}
			if !waits {
				go receive()
			}
			if err := <-got; err != nil {
				t.Errorf("the next session, which waits: %t: %v", waits, err)
			}
		})
	}
}
