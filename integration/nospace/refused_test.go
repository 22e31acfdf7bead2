package nospace_test

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestPutsAreRefusedAndHoldsStayValidInAFullDatabase checks that calls that put a key are refused
// while the database is full, and that the holds under which they were made stay valid and can be
// released.
func TestPutsAreRefusedAndHoldsStayValidInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		own := s.session(t)
		q, rw := queue.New(own, fresh(t), nil), mutex.NewRWMutex(own, fresh(t), nil)
		e, sem := election.New(own, fresh(t), nil), semaphore.New(own, fresh(t), 2, nil)
		gate := barrier.New(own, fresh(t))
		ctx := within(t, patience)
		_, err := q.Enqueue(ctx, []byte("1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := rw.Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		term, err := e.Campaign(ctx, "me")
		if err != nil {
			t.Fatal(err)
		}
		permit, err := sem.Acquire(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		raised, err := gate.Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.fill(t)
		for name, call := range map[string]func(ctx context.Context) error{
			"downgrade": l.Downgrade,
			"proclaim":  func(ctx context.Context) error { return term.Proclaim(ctx, "you") },
			"resize":    func(ctx context.Context) error { return sem.Resize(ctx, 1) },
			"raise":     gate.Raise,
			"count":     barrier.NewLatch(own, fresh(t), 2).CountDown,
			"enqueue": func(ctx context.Context) error {
				_, err := q.Enqueue(ctx, []byte("2"), nil)
				return err
			},
			"consume": func(ctx context.Context) error {
				return q.Consume(ctx, 2, func(context.Context, *queue.Message) error { return nil })
			},
		} {
			if err := call(within(t, soon)); !errors.Is(err, gateway.ErrNoSpace) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, hold := range map[string]struct {
			session.Hold
			release release
		}{
			"lock": {l, l.Unlock}, "term": {term, term.Resign},
			"permit": {permit, permit.Release}, "barrier": {raised, raised.Release},
		} {
			if err := hold.Err(); err != nil {
				t.Errorf("the %s: %v", name, err)
			}
			if err := hold.release(within(t, soon)); err != nil {
				t.Errorf("the release of the %s: %v", name, err)
			}
		}
	})
}

// TestABarrierCanBeLoweredInAFullDatabase checks that a raised barrier can be lowered while the
// database is full, even if an answer or a request is lost.
func TestABarrierCanBeLoweredInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		type scene struct {
			fault fault
			lower func(t *testing.T)
		}
		var scenes []scene
		for _, f := range faults {
			if f.cutOff { // a second Lower may find the barrier lowered by the first
				continue
			}
			own, proxy := s.faulty(t)
			gate := barrier.New(own, fresh(t))
			if err := gate.Raise(within(t, patience)); err != nil {
				t.Fatal(err)
			}
			scenes = append(scenes, scene{f, func(t *testing.T) {
				f.releaseUnder(t, proxy, gate.Lower)
				if err := gate.Wait(within(t, soon)); err != nil {
					t.Error(err)
				}
			}})
		}
		s.fill(t)
		for _, sc := range scenes {
			t.Run(sc.fault.name, sc.lower)
		}
	})
}
