package gauntlet_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// keyOfThatNamePeer deletes the key of a waiter. Then another session joins the line, and then a
// second call of the waiter's session, which creates the same key again.
func keyOfThatNamePeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	held := lock(t, plain(t), name)
	one, two := concurrency.NewMutex(s, name), concurrency.NewMutex(s, name)
	first := begin(func() error { return one.Lock(soon(t)) })
	p.waits(t)
	remove(t, fmt.Sprintf("%s/%x", name, s.Lease()))
	other := plain(t)
	between := begin(func() error {
		_, err := mutex.New(other, name, nil).Lock(soon(t))
		return err
	})
	eventually(t, "join of another", count(t, name+"/", 2))
	begin(func() error { return two.Lock(soon(t)) })
	eventually(t, "join of the second", count(t, name+"/", 3))
	must(t, held.Unlock(soon(t)))
	must(t, between.end(t))
	err := first.end(t)
	return saw("another has the lock, and Lock: %v", err), err == nil
}

func keyOfThatName(t *testing.T, opts *mutex.Options) string {
	s, name := plain(t), fresh(t)
	held := lock(t, plain(t), name)
	first := begin(func() error { _, err := mutex.New(s, name, opts).Lock(soon(t)); return err })
	eventually(t, "join", count(t, name+"/", 2))
	for _, key := range under(t, name+"/") {
		if key != held.Key() {
			remove(t, key)
		}
	}
	var between *mutex.Lock
	other := plain(t)
	waiting := begin(func() (err error) {
		between, err = mutex.New(other, name, nil).Lock(soon(t))
		return err
	})
	eventually(t, "join of another", count(t, name+"/", 2))
	if opts != nil { // else a second caller may share the place of the first
		_ = first.end(t)
	}
	second := begin(func() error { _, err := mutex.New(s, name, opts).Lock(soon(t)); return err })
	eventually(t, "join of the second", count(t, name+"/", 3))
	must(t, held.Unlock(soon(t)))
	if err := first.end(t); !errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("Lock of the removed waiter = %v", err)
	}
	must(t, waiting.end(t))
	resp, err := etcd.Get(soon(t), between.Key())
	must(t, err)
	if resp.Count != 1 || resp.Kvs[0].CreateRevision != between.Fence() {
		t.Errorf("fence %d is not the revision of %v", between.Fence(), resp.Kvs)
	}
	if second.stuck(0) {
		must(t, between.Unlock(soon(t)))
	} else {
		t.Error("two hold the lock")
	}
	must(t, second.end(t))
	return "the removed waiter is told: " + session.ErrKeyDeleted.Error()
}

func compactionPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	lock(t, plain(t), name)
	waiting := begin(func() error { return concurrency.NewMutex(s, name).Lock(soon(t)) })
	p.waits(t)
	compactAndReset(t, p.link)
	err := waiting.end(t)
	return saw("Lock: %v", err), err != nil
}

func compaction(t *testing.T, opts *mutex.Options) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	held := lock(t, plain(t), name)
	waiting := begin(func() error { _, err := mutex.New(s, name, opts).Lock(soon(t)); return err })
	eventually(t, "join", count(t, name+"/", 2))
	compactAndReset(t, link)
	if !waiting.stuck(500 * time.Millisecond) {
		t.Errorf("Lock = %v", waiting.err)
	}
	must(t, held.Unlock(soon(t)))
	if err := waiting.end(t); err != nil {
		t.Errorf("Lock = %v", err)
	}
	return "it waits on, and gets the lock"
}

func deadWaiterPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t, concurrency.WithTTL(3)) // it notices its end at a renewal
	lock(t, plain(t), name)
	waiting := begin(func() error { return concurrency.NewMutex(s, name).Lock(t.Context()) })
	p.waits(t)
	revoke(t, s.Lease())
	<-s.Done()
	stuck := waiting.stuck(2 * time.Second)
	return saw("waits 2 s after its session's end: %v", stuck), stuck
}

func deadWaiter(t *testing.T, opts *mutex.Options) string {
	s, name := plain(t), fresh(t)
	lock(t, plain(t), name)
	waiting := begin(func() error {
		_, err := mutex.New(s, name, opts).Lock(t.Context())
		return err
	})
	eventually(t, "join", count(t, name+"/", 2))
	revoke(t, clientv3.LeaseID(s.Lease()))
	if waiting.stuck(2 * time.Second) {
		t.Error("waits 2 s after its session's end")
	}
	err := waiting.end(t)
	if !errors.Is(err, session.ErrLost) {
		t.Errorf("Lock = %v", err)
	}
	return "Lock: " + session.ErrRevoked.Error()
}

// silence is how long the test watches the peer wait. Its code shows that it waits forever, because
// it reads only from the stream.
const silence = 6 * time.Second

// silentStreamPeer makes the link of a wait lose all bytes, while a second link is open. The same
// happens with a member that is cut off from the others and does not know it.
func silentStreamPeer(t *testing.T) (string, bool) {
	second := newLink(t)
	must(t, second.Refuse())
	p, name := newPeer(t, second), fresh(t)
	s := p.session(t)
	held := lock(t, plain(t), name)
	waiting := begin(func() error { return concurrency.NewMutex(s, name).Lock(t.Context()) })
	p.waits(t)
	must(t, second.Admit())
	eventually(t, "the second link", func() bool { return second.Open() > 0 })
	p.link.Blackhole(faultproxy.Both)
	must(t, held.Unlock(soon(t)))
	stuck := waiting.stuck(silence)
	return saw("waits %v after the Unlock: %v; lease gone: %v", silence, stuck,
			expired(t, s.Lease())),
		stuck && !expired(t, s.Lease())
}

func silentStream(t *testing.T, opts *mutex.Options) string {
	first, second := newLink(t), newLink(t)
	must(t, second.Refuse())
	name := fresh(t)
	c := recipetest.NewClient(t, gateway.Config{Endpoints: []string{first.URL(), second.URL()}})
	s := recipetest.NewSession(t, c, &session.Options{TTL: time.Minute})
	held := lock(t, plain(t), name)
	waiting := begin(func() error { _, err := mutex.New(s, name, opts).Lock(soon(t)); return err })
	eventually(t, "join", count(t, name+"/", 2))
	must(t, second.Admit())
	first.Blackhole(faultproxy.Both)
	began := time.Now()
	must(t, held.Unlock(soon(t)))
	if err := waiting.end(t); err != nil {
		t.Errorf("Lock = %v", err)
	}
	return saw("it has the lock after %v", time.Since(began).Round(100*time.Millisecond))
}
