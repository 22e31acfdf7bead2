package mutex_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// overdue: a holder that makes progress keeps its lock, and one that hangs is replaced, while
// another lock of its session lives on.
func overdue(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	other := lock(t, a, fresh(t))
	held, err := mutex.New(a, name, &mutex.Options{MaxHold: 500 * time.Millisecond}).Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		pause(t, ctx, 100*time.Millisecond, "progress")
		if err := held.Progress(); err != nil {
			t.Fatalf("Progress = %v", err)
		}
	}
	who, err := mutex.New(b, name, nil).Inspect(ctx)
	if err != nil || len(who) != 1 || time.Since(who[0].Since) < time.Second {
		t.Errorf("Inspect = %+v, %v", who, err)
	}
	next := lock(t, b, name)
	if err := held.Unlock(ctx); !errors.Is(err, session.ErrOverdue) ||
		!errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock = %v", err)
	}
	if next.Fence() <= held.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), held.Fence())
	}
	unlock(t, next)
	unlock(t, other)
}
