package mutex_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		a, b := newSession(t, c, &session.Options{Name: "a"}),
			newSession(t, newClient(t, cfg), &session.Options{Name: "b"})
		for name, test := range map[string]func(*testing.T, *gateway.Client, *session.Session,
			*session.Session){
			"Exclusion":       exclusion,
			"TryLock":         tryLock,
			"Order":           order,
			"Cancel":          cancelWaiting,
			"Inspect":         inspect,
			"Guard":           guard,
			"Nested names":    nestedNames,
			"One session":     oneSession,
			"Removed":         removed,
			"Delay":           lockDelay,
			"Compaction":      compaction,
			"Unlock too late": unlockTooLate,
			"Run":             runAgain,
			"Break":           broken,
			"Overdue":         overdue,
			"Moved":           moved,
			"Expired":         expired,
			"Cached":          cachedLock,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, a, b) })
		}
	})
}

func exclusion(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	var inside, count int // not synchronized, so that the race detector also checks them
	var fences []int64
	var all sync.WaitGroup
	for _, s := range []*session.Session{a, b, a, b} {
		all.Go(func() {
			for range 25 {
				l := lock(t, s, name)
				if inside++; inside != 1 {
					t.Errorf("%d hold the lock", inside)
				}
				count++
				fences = append(fences, l.Fence())
				inside--
				unlock(t, l)
			}
		})
	}
	all.Wait()
	if count != 100 {
		t.Errorf("counted %d of 100", count)
	}
	for i := 1; i < len(fences); i++ {
		if fences[i] <= fences[i-1] {
			t.Errorf("fence %d came after %d", fences[i], fences[i-1])
		}
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func tryLock(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	held, err := mutex.New(a, name, nil).TryLock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*session.Session{a, b} {
		_, err = mutex.New(s, name, nil).TryLock(ctx)
		var who *mutex.LockedError
		if !errors.Is(err, mutex.ErrLocked) || !errors.As(err, &who) {
			t.Fatalf("TryLock of a held lock: %v", err)
		}
		if who.Key != held.Key() || who.Fence != held.Fence() || who.Lease != a.Lease() {
			t.Errorf("%+v does not name the holder %s", who, held.Key())
		}
	}
	if n := len(members(t, c, name)); n != 1 {
		t.Errorf("a failed TryLock left %d keys", n-1)
	}
	unlock(t, held)
	again, err := mutex.New(b, name, nil).TryLock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, again)
}

// order: the lock is granted in the order of the keys.
func order(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	first := lock(t, a, name)
	var mu sync.Mutex
	var granted []int
	var all sync.WaitGroup
	for i := range 10 {
		s := []*session.Session{a, b}[i%2]
		all.Go(func() {
			l := lock(t, s, name)
			mu.Lock()
			granted = append(granted, i)
			mu.Unlock()
			unlock(t, l)
		})
		eventually(t, "join", func() bool { return len(members(t, c, name)) == i+2 })
	}
	unlock(t, first)
	all.Wait()
	for i, g := range granted {
		if i != g {
			t.Fatalf("granted in the order %v", granted)
		}
	}
}

func cancelWaiting(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	held := lock(t, a, name)
	reason := errors.New("changed my mind")
	for _, s := range []*session.Session{a, b} {
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		go func() {
			_, err := mutex.New(s, name, nil).Lock(ctx)
			failed <- err
		}()
		eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
		cancel(reason)
		if err := <-failed; !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
			t.Errorf("Lock with a cancelled context: %v", err)
		}
		eventually(t, "leave", func() bool { return len(members(t, c, name)) == 1 })
	}
	unlock(t, held)
	unlock(t, lock(t, b, name))
}

func inspect(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	held := lock(t, a, name)
	waiting := make(chan *mutex.Lock)
	go func() { waiting <- lock(t, b, name) }()
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	who, err := mutex.New(b, name, nil).Inspect(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(who) != 2 || !who[0].Holder || who[1].Holder || who[0].Fence != held.Fence() ||
		who[0].Session == nil || who[0].Session.Name != "a" || who[1].Session == nil ||
		who[1].Session.Name != "b" {
		t.Errorf("Inspect: %+v", who)
	}
	unlock(t, held)
	unlock(t, <-waiting)
}

// guard: a write under the guard is applied while the lock is held, and not after it.
func guard(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	l := lock(t, a, name)
	write := gateway.Txn{Then: []gateway.Op{gateway.OpPut(name+".value", []byte("1"))}}
	if resp, err := l.Txn(ctx, write); err != nil || !resp.Succeeded {
		t.Fatal(resp, err)
	}
	guarded := gateway.Txn{If: []gateway.Cmp{l.Guard()}, Then: write.Then}
	if resp, err := c.Txn(ctx, guarded); err != nil || !resp.Succeeded {
		t.Fatal(resp, err)
	}
	unlock(t, l)
	next := lock(t, b, name)
	if _, err := l.Txn(ctx, write); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("a write under a lock given back: %v", err)
	}
	if resp, err := c.Txn(ctx, guarded); err != nil || resp.Succeeded {
		t.Errorf("a write under an old guard: %v, %v", resp, err)
	}
	unlock(t, next)
}

// nestedNames: "a" and "a/b" are two locks.
func nestedNames(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	outer := fresh(t)
	inner := outer + "/b"
	ctx := within(t, 20*time.Second)
	for _, names := range [][2]string{{outer, inner}, {inner, outer}} {
		held := lock(t, a, names[0])
		waited := lock(t, b, names[1])
		unlock(t, waited)
		tried, err := mutex.New(b, names[1], nil).TryLock(ctx)
		if err != nil {
			t.Fatalf("TryLock of %s beside %s: %v", names[1], names[0], err)
		}
		if _, err := mutex.New(a, names[1], nil).TryLock(ctx); !errors.Is(err, mutex.ErrLocked) {
			t.Errorf("TryLock of a held lock beside another: %v", err)
		}
		unlock(t, tried)
		unlock(t, held)
	}
}

// oneSession: two goroutines that share a session exclude each other.
func oneSession(t *testing.T, _ *gateway.Client, a, _ *session.Session) {
	name := fresh(t)
	held := lock(t, a, name)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := mutex.New(a, name, nil).Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second Lock of one session: %v", err)
	}
	unlock(t, held)
	unlock(t, lock(t, a, name))
}

// removed: the deletion of its key ends a hold with ErrKeyDeleted, and a wait at once.
func removed(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	held := lock(t, a, name)
	failed := make(chan error)
	go func() {
		_, err := mutex.New(b, name, nil).Lock(ctx)
		failed <- err
	}()
	var keys []string
	eventually(t, "join", func() bool { keys = members(t, c, name); return len(keys) == 2 })
	for _, key := range keys {
		if key == held.Key() {
			continue
		}
		if _, err := c.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-failed; err == nil || ctx.Err() != nil {
		t.Errorf("Lock of a removed waiter: %v", err)
	}
	if _, err := c.Delete(ctx, held.Key()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-held.Context().Done():
	case <-ctx.Done():
		t.Fatal("the holder did not notice")
	}
	if err := held.Err(); !errors.Is(err, session.ErrLost) ||
		!errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("cause: %v", err)
	}
	if err := held.Unlock(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock after it: %v", err)
	}
	unlock(t, lock(t, a, name))
}

func lockDelay(t *testing.T, c *gateway.Client, a, b *session.Session) {
	const delay = time.Second
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	take := func(s *session.Session) (*mutex.Lock, time.Duration) {
		begin := time.Now()
		l, err := mutex.New(s, name, &mutex.Options{LockDelay: delay}).Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l, time.Since(begin)
	}
	l, _ := take(a)
	unlock(t, l)
	l, took := take(b)
	if took > delay/2 {
		t.Errorf("after a clean unlock it took %v", took)
	}
	if _, err := c.Delete(ctx, l.Key()); err != nil { // an unclean end that no waiter sees
		t.Fatal(err)
	}
	l, took = take(a)
	if took < delay {
		t.Errorf("after an unclean end, seen by nobody, it took %v", took)
	}
	type grant struct {
		l  *mutex.Lock
		at time.Time
	}
	next := make(chan grant)
	go func() {
		l, _ := take(b)
		next <- grant{l, time.Now()}
	}()
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	gone := time.Now()
	if _, err := c.Delete(ctx, l.Key()); err != nil { // an unclean end that the waiter sees
		t.Fatal(err)
	}
	g := <-next
	if took := g.at.Sub(gone); took < delay {
		t.Errorf("after an unclean end, seen by the waiter, it took %v", took)
	}
	unlock(t, g.l)
	l, took = take(a)
	if took > delay/2 {
		t.Errorf("after another clean unlock it took %v", took)
	}
	unlock(t, l)
}

// compaction: a waiter is granted the lock also after compactions.
func compaction(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	held := lock(t, a, name)
	waiting := make(chan *mutex.Lock)
	go func() { waiting <- lock(t, b, name) }()
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	for range 20 {
		resp, err := c.Put(ctx, name+".noise", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Compact(ctx, resp.Revision); err != nil {
			t.Fatal(err)
		}
	}
	unlock(t, held)
	unlock(t, <-waiting)
}

// unlockTooLate: Unlock works although its context had ended.
func unlockTooLate(t *testing.T, c *gateway.Client, a, _ *session.Session) {
	name := fresh(t)
	l := lock(t, a, name)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Unlock(ended); err != nil {
		t.Errorf("Unlock with an ended context: %v", err)
	}
	if err := l.Unlock(within(t, 20*time.Second)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock again: %v", err)
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
