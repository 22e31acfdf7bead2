package gauntlet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func lostAnswerPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	m := concurrency.NewMutex(p.session(t), name)
	failed := cutOff(t, p.link, m.Lock, count(t, name+"/", 1))
	denied := m.Unlock(soon(t))
	other := concurrency.NewMutex(newPeer(t).session(t), name).TryLock(soon(t))
	return saw("Lock: %v; Unlock: %v; another's TryLock: %v", failed, denied, other),
		failed != nil && errors.Is(denied, concurrency.ErrLockReleased) &&
			errors.Is(other, concurrency.ErrLocked)
}

func lostAnswer(t *testing.T, opts *mutex.Options) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	m := mutex.New(s, name, opts)
	failed := cutOff(t, link, func(ctx context.Context) error {
		_, err := m.Lock(ctx)
		return err
	}, count(t, name+"/", 1))
	// The request of a cached key is not the caller's.
	uncertain := errors.Is(failed, gateway.ErrUncertain)
	if !errors.Is(failed, context.Canceled) || uncertain == (opts != nil) {
		t.Errorf("Lock = %v", failed)
	}
	eventually(t, "clean-up", count(t, name+"/", 0))
	if s.Err() != nil {
		t.Errorf("it was not cleaned up but lost: %v", s.Err())
	}
	if _, err := mutex.New(plain(t), name, nil).TryLock(soon(t)); err != nil {
		t.Errorf("another's TryLock = %v", err)
	}
	return "Lock is uncertain, and undone"
}

// outlivesPeer cuts the link of a waiter and then ends its context.
func outlivesPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	lock(t, plain(t), name)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := begin(func() error { return concurrency.NewMutex(s, name).Lock(ctx) })
	p.waits(t)
	p.link.Blackhole(faultproxy.Both)
	cancel()
	stuck := waiting.stuck(3 * time.Second)
	must(t, p.Close()) // ends the wait
	_ = waiting.end(t)
	return saw("blocked 3 s after its context's end: %v", stuck), stuck
}

func outlives(t *testing.T, opts *mutex.Options) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), &session.Options{TTL: time.Minute})
	lock(t, plain(t), name)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := begin(func() error { _, err := mutex.New(s, name, opts).Lock(ctx); return err })
	eventually(t, "join", count(t, name+"/", 2))
	link.Blackhole(faultproxy.Both)
	cancel()
	if waiting.stuck(3 * time.Second) {
		t.Error("blocked 3 s after its context's end")
	}
	if err := waiting.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock = %v", err)
	}
	must(t, link.Heal())
	eventually(t, "leave", count(t, name+"/", 1))
	return "ended with its context, and left the line"
}

// tryLockEvictsPeer: a session calls TryLock while another call of it waits for the same lock.
func tryLockEvictsPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	held := lock(t, plain(t), name)
	waiting := begin(func() error { return concurrency.NewMutex(s, name).Lock(soon(t)) })
	p.waits(t)
	try := concurrency.NewMutex(s, name).TryLock(soon(t))
	must(t, held.Unlock(soon(t)))
	err := waiting.end(t)
	return saw("the waiter: %v; lease gone: %v", err, expired(t, s.Lease())),
		errors.Is(try, concurrency.ErrLocked) && errors.Is(err, concurrency.ErrSessionExpired) &&
			!expired(t, s.Lease())
}

func tryLockEvicts(t *testing.T, opts *mutex.Options) string {
	s, name := plain(t), fresh(t)
	held := lock(t, plain(t), name)
	waiting := begin(func() error { _, err := mutex.New(s, name, opts).Lock(soon(t)); return err })
	eventually(t, "join", count(t, name+"/", 2))
	if _, err := mutex.New(s, name, opts).TryLock(soon(t)); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryLock = %v", err)
	}
	must(t, held.Unlock(soon(t)))
	if err := waiting.end(t); err != nil {
		t.Errorf("the waiter: %v", err)
	}
	return "the waiter gets the lock"
}

// tryLockWaitsPeer loses the request with which TryLock deletes its key from the line.
func tryLockWaitsPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	m := concurrency.NewMutex(p.session(t), name)
	held := lock(t, plain(t), name)
	p.beforeWrite(nothing, func() { p.link.Blackhole(faultproxy.Up) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	failed := m.TryLock(ctx)
	must(t, p.link.Heal())
	must(t, held.Unlock(soon(t)))
	_, other := mutex.New(plain(t), name, nil).TryLock(soon(t))
	owns := other != nil && exists(t, m.Key())
	return saw("TryLock: %v; owns the lock when it is free: %v", failed, owns), failed != nil &&
		owns
}

func tryLockWaits(t *testing.T, opts *mutex.Options) string {
	link, name := newHTTPLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	held := lock(t, plain(t), name)
	lost := link.Add(faultproxy.Rule{Match: faultproxy.Path("/v3/kv/txn"), Action: faultproxy.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	trying := begin(func() error { _, err := mutex.New(s, name, opts).TryLock(ctx); return err })
	must(t, lost.WaitHits(soon(t), 1))
	if n := len(under(t, name+"/")); n != 1 {
		t.Errorf("%d are in the line while TryLock waits for its answer", n)
	}
	cancel()
	if err := trying.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("TryLock = %v", err)
	}
	link.Clear()
	must(t, held.Unlock(soon(t)))
	if _, err := mutex.New(plain(t), name, nil).TryLock(soon(t)); err != nil {
		t.Errorf("another's TryLock, once it is free: %v", err)
	}
	return "it was never in the line"
}

func twoOfOneSessionPeer(t *testing.T) (string, bool) {
	s, name := newPeer(t).session(t), fresh(t)
	one, two := concurrency.NewMutex(s, name), concurrency.NewMutex(s, name)
	must(t, one.Lock(soon(t)))
	both := two.TryLock(soon(t))
	must(t, one.Unlock(soon(t)))
	_, third := mutex.New(plain(t), name, nil).TryLock(soon(t))
	return saw("second TryLock: %v; a third's after one Unlock: %v", both, third), both == nil &&
		third == nil
}

func twoOfOneSession(t *testing.T, opts *mutex.Options) string {
	s, name := plain(t), fresh(t)
	one := lockWith(t, s, name, opts)
	if _, err := mutex.New(s, name, opts).TryLock(soon(t)); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("second TryLock = %v", err)
	}
	waiting := begin(func() error { _, err := mutex.New(s, name, opts).Lock(soon(t)); return err })
	if opts == nil { // else one key stands for both
		eventually(t, "join", count(t, name+"/", 2))
	} else if !waiting.stuck(100 * time.Millisecond) {
		t.Error("two hold the lock")
	}
	must(t, one.Unlock(soon(t)))
	must(t, waiting.end(t))
	if _, err := mutex.New(plain(t), name, nil).TryLock(soon(t)); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("a third's TryLock = %v", err)
	}
	return "they take turns"
}

func unlockAfterLossPeer(t *testing.T) (string, bool) {
	m := concurrency.NewMutex(newPeer(t).session(t), fresh(t))
	must(t, m.Lock(soon(t)))
	remove(t, m.Key())
	err := m.Unlock(soon(t))
	return saw("Unlock: %v", err), err == nil
}

func unlockAfterLoss(t *testing.T, opts *mutex.Options) string {
	l := lockWith(t, plain(t), fresh(t), opts)
	remove(t, l.Key())
	if err := l.Unlock(soon(t)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock = %v", err)
	}
	return "Unlock: " + session.ErrNotHeld.Error()
}

// repeatedUnlockPeer loses the answer to an Unlock and repeats it when another call of the same
// session holds the lock.
func repeatedUnlockPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	one, two := concurrency.NewMutex(s, name), concurrency.NewMutex(s, name)
	must(t, one.Lock(soon(t)))
	failed := cutOff(t, p.link, one.Unlock, count(t, name+"/", 0))
	p.back(t)
	must(t, two.Lock(soon(t)))
	again := one.Unlock(soon(t))
	there := exists(t, two.Key())
	return saw("Unlock: %v, then %v; the later holder's key is there: %v", failed, again, there),
		failed != nil && again == nil && !there
}

func repeatedUnlock(t *testing.T, opts *mutex.Options) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	one := lockWith(t, s, name, opts)
	one.Guard() // so that Unlock deletes the key of a cached lock
	failed := cutOff(t, link, one.Unlock, count(t, name+"/", 0))
	if !errors.Is(failed, gateway.ErrUncertain) {
		t.Errorf("Unlock = %v", failed)
	}
	two := lockWith(t, s, name, opts)
	if err := one.Unlock(soon(t)); err != nil {
		t.Errorf("repeated Unlock = %v", err)
	}
	if !exists(t, two.Key()) || two.Err() != nil {
		t.Errorf("the later holder: %v", two.Err())
	}
	return "the later holder keeps the lock"
}
