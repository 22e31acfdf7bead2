package mutex_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestKeyWithoutItsLease: a lock is lost when its key is put without the lease, and the next waiter
// acquires it.
func TestKeyWithoutItsLease(t *testing.T) {
	ctx := within(t, time.Minute)
	s, name := plain(t), fresh(t)
	held := lock(t, s, name)
	next := make(chan error)
	go func() {
		l, err := mutex.New(plain(t), name, nil).Lock(ctx)
		if err == nil {
			err = l.Unlock(ctx)
		}
		next <- err
	}()
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	if _, err := s.Client().Put(ctx, held.Key(), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	if err := held.Err(); !errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("Err = %v", err)
	}
	if err := held.Unlock(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock = %v", err)
	}
}
