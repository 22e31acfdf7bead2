package mutex_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestBreak: the holder loses the lock and the next waiter acquires it; a waiter loses its place.
func TestBreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		m, operator := mutex.New(bubble.Session(t, etcd), "a", nil),
			mutex.NewRWMutex(bubble.Session(t, etcd), "a", nil)
		held, err := m.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		type result struct {
			lock *mutex.Lock
			err  error
		}
		waiting := make(chan result, 2)
		for range 2 {
			go func() {
				lock, err := m.Lock(t.Context())
				waiting <- result{lock, err}
			}()
			synctest.Wait()
		}
		time.Sleep(2 * time.Second) // then the holder's key is watched
		all, err := operator.Inspect(t.Context())
		if err != nil || len(all) != 3 {
			t.Fatal(all, err)
		}
		if err := operator.Break(t.Context(), all[2].Key, all[2].Fence, "tidy up"); err != nil {
			t.Error(err)
		}
		r := <-waiting
		if !errors.Is(r.err, session.ErrKeyDeleted) || held.Err() != nil {
			t.Errorf("the waiter: %v, the holder: %v", r.err, held.Err())
		}
		checkBroken(t, r.err, all[2])
		if err := operator.Break(t.Context(), all[0].Key, all[0].Fence, "tidy up"); err != nil {
			t.Error(err)
		}
		<-held.Context().Done()
		if !errors.Is(held.Err(), session.ErrKeyDeleted) {
			t.Errorf("the holder: %v", held.Err())
		}
		checkBroken(t, context.Cause(held.Context()), all[0])
		if err := held.Unlock(t.Context()); !strings.Contains(err.Error(), "tidy up") {
			t.Errorf("Unlock = %v", err)
		}
		if r := <-waiting; r.err != nil || r.lock.Key() != all[1].Key {
			t.Errorf("the next: %v", r)
		}
		err = operator.Break(t.Context(), all[0].Key, all[0].Fence, "again")
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("again: %v", err)
		}
	})
}

// checkBroken checks that an error names the breaker of a member and the reason.
func checkBroken(t *testing.T, err error, of mutex.Member) {
	t.Helper()
	broken, ok := errors.AsType[*session.BrokenError](err)
	if !ok || broken.By.Name != "me" || broken.Reason != "tidy up" || broken.Key != of.Key ||
		broken.Fence != of.Fence || !errors.Is(broken, session.ErrKeyDeleted) {
		t.Errorf("%+v of %v", broken, err)
	}
	if !strings.Contains(err.Error(), "tidy up") {
		t.Errorf("the text: %v", err)
	}
}

// TestBreakRefuses: Break deletes no key but a member's of this lock.
func TestBreakRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		m := mutex.New(bubble.Session(t, etcd), "a", nil)
		for _, key := range []string{"a/b/c", "a//limit", "a/", "b/1", ""} {
			if key != "" {
				etcd.Put(key, "")
			}
			kv, _ := etcd.Get(key)
			err := m.Break(t.Context(), key, max(1, kv.CreateRevision), "why not")
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%q: %v", key, err)
			}
			if _, ok := etcd.Get(key); !ok && key != "" {
				t.Errorf("%q is gone", key)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Break(ended, "a/1", 1, "why not"); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		err := mutex.New(nil, "a", nil).Break(t.Context(), "a/1", 1, "why not")
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("without a session: %v", err)
		}
	})
}
