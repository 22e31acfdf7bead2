package nospace_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/queue"
)

// TestAcksInOneRefusedTransactionSucceedInAFullDatabase checks acks and rejects that one consumer
// sends in one transaction, which the full database refuses. The acks succeed, each reject is
// refused, and its message can be acked after that.
func TestAcksInOneRefusedTransactionSucceedInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		const n = 12
		session, proxy := s.faulty(t)
		q := queue.New(session, fresh(t), nil)
		ctx := within(t, time.Minute)
		if _, err := q.EnqueueAll(ctx, make([][]byte, n), nil); err != nil {
			t.Fatal(err)
		}
		var all []*queue.Message
		for range n {
			m, err := q.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		s.fill(t)
		// The delay keeps requests in flight, so that the following endings share a transaction.
		proxy.Add(faultproxy.Rule{
			Match: transactions, Action: faultproxy.DelayBefore(100 * time.Millisecond),
		})
		var done sync.WaitGroup
		start := time.Now()
		for i, m := range all {
			done.Go(func() {
				if i%2 == 0 {
					if err := m.Ack(ctx); err != nil {
						t.Errorf("ack: %v", err)
					}
					return
				}
				if err := m.Reject(ctx, "bad"); !errors.Is(err, gateway.ErrNoSpace) {
					t.Errorf("reject: %v", err)
				}
				if err := m.Ack(ctx); err != nil {
					t.Errorf("an ack after a reject: %v", err)
				}
			})
		}
		done.Wait()
		took := time.Since(start)
		if figure(t, "12 acks, 6 of them after a reject: %v", took); took > soon {
			t.Errorf("it took %v", took)
		}
		stats, err := q.Stats(ctx)
		if err != nil || stats.Claimed+stats.Ready+stats.Dead > 0 {
			t.Errorf("left: %+v, %v", stats, err)
		}
	})
}

// TestMembersLeaveTogetherInAFullDatabase checks that the members of a double barrier leave
// together while the database is full, even if answers are lost.
func TestMembersLeaveTogetherInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		var scenes []*leaving
		for _, f := range faults {
			scenes = append(scenes, newLeaving(t, s, f))
		}
		s.fill(t)
		for _, sc := range scenes {
			t.Run(sc.fault.name, sc.run)
		}
		s.makeSpace(t)
		for _, sc := range scenes {
			t.Run(sc.fault.name+", space again", func(t *testing.T) {
				if first, _ := sc.enter(t); first.Round() != 2 {
					t.Errorf("round %d", first.Round())
				}
			})
		}
	})
}

// leaving is a round of two members. The first member's session is behind a proxy.
type leaving struct {
	fault   fault
	doubles [2]*barrier.Double
	proxy   *faultproxy.HTTPProxy
	first   *barrier.Entry
	second  *barrier.Entry
}

func newLeaving(t *testing.T, s *server, f fault) *leaving {
	t.Helper()
	session, proxy := s.faulty(t)
	sc, name := &leaving{fault: f, proxy: proxy}, fresh(t)
	sc.doubles[0] = barrier.NewDouble(session, name, 2)
	sc.doubles[1] = barrier.NewDouble(s.session(t), name, 2)
	sc.first, sc.second = sc.enter(t)
	return sc
}

func (sc *leaving) enter(t *testing.T) (first, second *barrier.Entry) {
	t.Helper()
	other := goCall(t, func(ctx context.Context) (err error) {
		second, err = sc.doubles[1].Enter(ctx)
		return err
	})
	first, err := sc.doubles[0].Enter(within(t, patience))
	if err = errors.Join(err, other.result(t)); err != nil {
		t.Fatal(err)
	}
	return first, second
}

func (sc *leaving) run(t *testing.T) {
	other := goCall(t, sc.second.Leave)
	start := time.Now()
	sc.fault.releaseUnder(t, sc.proxy, sc.first.Leave)
	figure(t, "from the first's Leave to the end of the second's: %v",
		other.succeedsSoon(t, start))
}
