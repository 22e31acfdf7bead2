package mutex_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
)

// TestALockBesideSettingsIsNotDisturbed: a lock "a/" and a semaphore, barrier or queue "a" do not
// disturb each other, although its settings are among the members of the lock.
func TestALockBesideSettingsIsNotDisturbed(t *testing.T) {
	ctx := within(t, time.Minute)
	s, name := plain(t), fresh(t)
	sem := semaphore.New(s, name, 2, nil)
	permit, err := sem.Acquire(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	b := barrier.New(s, name+"b")
	if err := b.Raise(ctx); err != nil {
		t.Fatal(err)
	}
	q := queue.New(s, name+"q", nil)
	if _, err := q.Enqueue(ctx, []byte("one"), nil); err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{name, name + "b", name + "q"} {
		other := lock(t, s, of+"/x")
		held := lock(t, s, of+"/")
		rw := mutex.NewRWMutex(plain(t), of+"/", nil)
		if _, err := rw.TryRLock(ctx); !errors.Is(err, mutex.ErrLocked) {
			t.Errorf("TryRLock = %v", err)
		}
		if all, err := rw.Inspect(ctx); err != nil || len(all) != 1 || all[0].Key != held.Key() {
			t.Errorf("Inspect = %v, %v", all, err)
		}
		next := make(chan error)
		go func() {
			all, err := mutex.LockAll(ctx, s, of+"/", of+"/y/")
			if err == nil {
				err = all.Unlock(ctx)
			}
			next <- err
		}()
		eventually(t, "join", func() bool {
			all, err := rw.Inspect(ctx)
			return err == nil && len(all) == 2
		})
		unlock(t, held)
		if err := <-next; err != nil {
			t.Error(err)
		}
		unlock(t, other)
		if term, err := election.New(s, of+"/", nil).TryCampaign(ctx, "v"); err != nil {
			t.Error(err)
		} else if err := term.Resign(ctx); err != nil {
			t.Error(err)
		}
	}
	held := lock(t, s, name+"/")
	if second, err := sem.TryAcquire(ctx, 1); err != nil {
		t.Error(err)
	} else if err := second.Release(ctx); err != nil {
		t.Error(err)
	}
	unlock(t, held)
	if err := permit.Release(ctx); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"semaphore": func() error {
			_, err := semaphore.New(s, name+"/", 1, nil).TryAcquire(ctx, 1)
			return err
		}(),
		"barrier": barrier.New(s, name+"/").Raise(ctx),
		"queue": func() error {
			_, err := queue.New(s, name+"/", nil).Enqueue(ctx, nil, nil)
			return err
		}(),
	} {
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
