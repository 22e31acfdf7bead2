package gauntlet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func rwWithoutKeyPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	held := recipe.NewRWMutex(newPeer(t).session(t), name)
	must(t, held.Lock())
	waiting := begin(recipe.NewRWMutex(s, name).Lock)
	p.waits(t)
	revoke(t, s.Lease())
	must(t, held.Unlock())
	err := waiting.end(t)
	n := len(under(t, name+"/"))
	return saw("Lock: %v; keys: %d", err, n), err == nil && n == 0
}

func rwWithoutKey(t *testing.T) string {
	s, name := plain(t), fresh(t)
	held, err := mutex.NewRWMutex(plain(t), name, nil).Lock(soon(t))
	must(t, err)
	waiting := begin(func() error {
		_, err := mutex.NewRWMutex(s, name, nil).Lock(soon(t))
		return err
	})
	eventually(t, "join", count(t, name+"/", 2))
	revoke(t, clientv3.LeaseID(s.Lease()))
	must(t, held.Unlock(soon(t)))
	if err := waiting.end(t); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("Lock = %v", err)
	}
	return "Lock: " + session.ErrRevoked.Error()
}

func rwPollsPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	must(t, recipe.NewRWMutex(newPeer(t).session(t), name).RLock())
	begin(recipe.NewRWMutex(p.session(t), name).Lock)
	p.waits(t)
	compactAndReset(t, p.link)
	return asksOften(t, p, p.watches.Load())
}

func rwPolls(t *testing.T) string {
	breakable, name := newLink(t), fresh(t)
	counting, err := faultproxy.NewHTTP(breakable.URL())
	must(t, err)
	t.Cleanup(func() { must(t, counting.Close()) })
	requests := counting.Add(faultproxy.Rule{Action: faultproxy.DelayBefore(0)})
	s := behind(t, counting.URL(), nil)
	held, err := mutex.NewRWMutex(plain(t), name, nil).RLock(soon(t))
	must(t, err)
	waiting := begin(func() error {
		_, err := mutex.NewRWMutex(s, name, nil).Lock(soon(t))
		return err
	})
	eventually(t, "join", count(t, name+"/", 2))
	compactAndReset(t, breakable)
	seen := quiet(t, requests, waiting)
	must(t, held.Unlock(soon(t)))
	must(t, waiting.end(t))
	return seen
}

func secondRLockPeer(t *testing.T) (string, bool) {
	s, name := newPeer(t).session(t), fresh(t)
	rw := recipe.NewRWMutex(s, name)
	must(t, errors.Join(rw.RLock(), rw.RLock(), rw.RUnlock(), rw.RUnlock()))
	n := len(under(t, name+"/"))
	return saw("keys after two RLocks and two RUnlocks: %d", n), n == 1
}

func secondRLock(t *testing.T) string {
	s, name := plain(t), fresh(t)
	rw := mutex.NewRWMutex(s, name, nil)
	one, err := rw.RLock(soon(t))
	must(t, err)
	two, err := rw.RLock(soon(t))
	must(t, err)
	must(t, errors.Join(one.Unlock(soon(t)), two.Unlock(soon(t))))
	if left := under(t, name+"/"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	return "each is a handle of its own: keys: 0"
}

func unlockWithoutLockPeer(t *testing.T) (string, bool) {
	err := begin(recipe.NewRWMutex(newPeer(t).session(t), fresh(t)).Unlock).end(t)
	panicked := strings.HasPrefix(fmt.Sprint(err), "panic: ")
	return saw("panics: %v", panicked), panicked
}

// unlockWithoutLock: Unlock is a method of the lock, so the only Unlock without a lock is a second
// one.
func unlockWithoutLock(t *testing.T) string {
	l, err := mutex.NewRWMutex(plain(t), fresh(t), nil).RLock(soon(t))
	must(t, err)
	must(t, l.Unlock(soon(t)))
	if err := l.Unlock(soon(t)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("second Unlock = %v", err)
	}
	return "only the handle has Unlock; again: " + session.ErrNotHeld.Error()
}
