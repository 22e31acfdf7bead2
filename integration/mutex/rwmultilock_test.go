package mutex_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func several(t *testing.T, c *gateway.Client, a, b *session.Session) {
	one, two, three := fresh(t), fresh(t), fresh(t)
	held := lock(t, b, two)
	got := make(chan *mutex.MultiLock)
	go func() {
		l, err := mutex.LockAll(t.Context(), a, one, two, three)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	eventually(t, "join", func() bool { return len(members(t, c, two)) == 2 })
	for _, name := range []string{one, three} {
		if _, err := mutex.New(b, name, nil).TryLock(t.Context()); !errors.Is(err,
			mutex.ErrLocked) {
			t.Errorf("TryLock of %s: %v", name, err)
		}
	}
	unlock(t, held)
	l := <-got
	if l.Err() != nil || l.Context().Err() != nil || len(l.Guards()) != 3 || l.Fence() == 0 {
		t.Errorf("%v, %v, %v", l.Err(), l.Guards(), l.Fence())
	}
	resp, err := c.Txn(t.Context(), gateway.Txn{If: l.Guards()})
	if err != nil || !resp.Succeeded {
		t.Errorf("the guards do not hold: %v", err)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if l.Context().Err() == nil || !errors.Is(l.Unlock(t.Context()), session.ErrNotHeld) {
		t.Error("held after Unlock")
	}
	for _, name := range []string{one, two, three} {
		if left := members(t, c, name); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}

	// One of the locks is lost.
	l, err = mutex.LockAll(t.Context(), a, one, two)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), two+"/", gateway.Prefix()); err != nil {
		t.Fatal(err)
	}
	<-l.Context().Done()
	if !errors.Is(l.Err(), session.ErrKeyDeleted) {
		t.Errorf("cause: %v", l.Err())
	}
	_ = l.Unlock(t.Context()) // one was lost
	unlock(t, lock(t, b, one))

	for what, names := range map[string][]string{
		"twice": {one, one}, "none": nil,
		"empty": {one, ""}, "too many": make([]string, 61),
	} {
		if _, err := mutex.LockAll(t.Context(), a, names...); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// crossed: many calls name the same locks in different orders, and all succeed.
func crossed(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	names := []string{fresh(t), fresh(t), fresh(t), fresh(t)}
	counts := make([]int, len(names)) // each guarded by the lock of the same index
	var all sync.WaitGroup
	for i := range 8 {
		s := []*session.Session{a, b}[i%2]
		all.Go(func() {
			for range 10 {
				picked := rand.Perm(len(names))[:2+rand.N(2)]
				var some []string
				for _, p := range picked {
					some = append(some, names[p])
				}
				l, err := mutex.LockAll(within(t, 30*time.Second), s, some...)
				if err != nil {
					t.Error(err)
					return
				}
				for _, p := range picked {
					counts[p]++
				}
				if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total < 160 {
		t.Errorf("counted %d", total)
	}
}

// severalCut: a LockAll whose ctx ended leaves no key.
func severalCut(t *testing.T, c *gateway.Client, a, b *session.Session) {
	one, two := fresh(t), fresh(t)
	held := lock(t, b, two)
	if _, err := mutex.LockAll(within(t, 200*time.Millisecond), a, one, two); err == nil {
		t.Error("LockAll of a held lock succeeded")
	}
	eventually(t, "leave", func() bool {
		return len(members(t, c, one)) == 0 && len(members(t, c, two)) == 1
	})
	unlock(t, held)
}
