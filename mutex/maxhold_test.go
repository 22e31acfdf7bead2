package mutex_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestAHungHolderIsReplaced after its MaxHold and the grace, and others see since when it holds.
func TestAHungHolderIsReplaced(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const most = time.Minute
		hung := bubble.Session(t, etcd)
		began := time.Now()
		held, err := mutex.New(hung, "a", &mutex.Options{MaxHold: most}).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiter := mutex.New(bubble.Session(t, etcd), "a", nil)
		granted := make(chan *mutex.Lock)
		go func() {
			next, err := waiter.Lock(t.Context())
			if err != nil {
				t.Error(err)
			}
			granted <- next
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		who, err := waiter.Inspect(t.Context())
		if err != nil || len(who) != 2 || !who[0].Since.Equal(began) || !who[1].Since.IsZero() {
			t.Errorf("Inspect = %+v, %v", who, err)
		}
		next := <-granted
		if took := time.Since(began); took != most+core.OverdueGrace {
			t.Errorf("granted after %v", took)
		}
		if err := held.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
			!errors.Is(err, session.ErrOverdue) || next.Err() != nil || hung.Err() != nil {
			t.Errorf("Unlock = %v, the next: %v, the session: %v", err, next.Err(), hung.Err())
		}
	})
}

// TestRunGoesOnAfterAnOverdueHold: the context of the function ends with ErrOverdue, and Run
// acquires the lock again.
func TestRunGoesOnAfterAnOverdueHold(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := mutex.New(bubble.Session(t, etcd), "a", &mutex.Options{MaxHold: time.Second})
		runs := 0
		err := m.Run(t.Context(), func(ctx context.Context, lock *mutex.Lock) error {
			if runs++; runs == 2 {
				return lock.Progress()
			}
			<-ctx.Done()
			if err := context.Cause(ctx); !errors.Is(err, session.ErrOverdue) {
				t.Errorf("the cause is %v", err)
			}
			time.Sleep(2 * core.OverdueGrace)
			return ctx.Err()
		})
		if err != nil || runs != 2 {
			t.Errorf("%d runs: %v", runs, err)
		}
	})
}

// TestANegativeMaxHoldIsInvalid.
func TestANegativeMaxHoldIsInvalid(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := mutex.New(bubble.Session(t, etcd), "a", &mutex.Options{MaxHold: -1})
		if _, err := m.Lock(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Lock = %v", err)
		}
	})
}
