package semaphore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// overdue: a permit whose holder hangs is given to a waiter, and others see since when it is held.
func overdue(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a := semaphore.New(f.a, name, 3, &semaphore.Options{MaxHold: 500 * time.Millisecond})
	b := semaphore.New(f.b, name, 3, nil)
	hung := acquire(t, a, 3)
	if err := hung.Progress(); err != nil {
		t.Errorf("Progress = %v", err)
	}
	eventually(t, "the time of the permit", func() bool {
		is, err := b.Inspect(ctx)
		return err == nil && len(is.Members) == 1 && !is.Members[0].Since.IsZero()
	})
	next := acquire(t, b, 1)
	if err := hung.Release(ctx); !errors.Is(err, session.ErrOverdue) ||
		!errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Release = %v", err)
	}
	release(t, next)
}
