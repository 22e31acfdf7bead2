package mutex_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestRWContract runs the tests of reader-writer locks that must pass on every version of etcd.
func TestRWContract(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		own := etcdtest.Start(t, &etcdproc.Options{Version: version, UnsafeNoFsync: true})
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		a, b := newSession(t, c, nil), newSession(t, newClient(t, cfg), nil)
		for name, test := range map[string]func(*testing.T, *gateway.Client, *session.Session,
			*session.Session){
			"Sharing":        sharing,
			"Writers' turn":  writersTurn,
			"Try":            tryRW,
			"Downgrade":      downgrade,
			"Several":        several,
			"Crossed":        crossed,
			"Several cut":    severalCut,
			"With a Mutex":   withMutex,
			"Locker adapter": locker,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, a, b) })
		}
	})
}

// room counts the readers and writers inside, and fails the test if they do not exclude each other.
type room struct {
	t                *testing.T
	readers, writers atomic.Int64
	most             atomic.Int64 // readers at a time
}

func (r *room) read() func() {
	if n := r.readers.Add(1); n > r.most.Load() {
		r.most.Store(n)
	}
	if w := r.writers.Load(); w != 0 {
		r.t.Errorf("a reader among %d writers", w)
	}
	return func() { r.readers.Add(-1) }
}

func (r *room) write() func() {
	if w := r.writers.Add(1); w != 1 || r.readers.Load() != 0 {
		r.t.Errorf("a writer among %d writers and %d readers", w, r.readers.Load())
	}
	return func() { r.writers.Add(-1) }
}

func sharing(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	in := room{t: t}
	var all sync.WaitGroup
	for i := range 8 {
		m := mutex.NewRWMutex([]*session.Session{a, b}[i%2], name, nil)
		all.Go(func() {
			for range 15 {
				enter, take := in.read, m.RLock
				if rand.N(4) == 0 {
					enter, take = in.write, m.Lock
				}
				l, err := take(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				leave := enter()
				pause(t, t.Context(), time.Duration(rand.N(5))*time.Millisecond, "work")
				leave()
				unlock(t, l)
			}
		})
	}
	all.Wait()
	if in.most.Load() < 2 {
		t.Error("readers never shared the lock")
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// writersTurn: a reader behind a waiting writer waits.
func writersTurn(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	rw := mutex.NewRWMutex(a, name, nil)
	first, err := rw.RLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan *mutex.Lock)
	go func() { written <- lock(t, b, name) }()
	eventually(t, "join of the writer", func() bool { return len(members(t, c, name)) == 2 })
	if _, err := rw.TryRLock(t.Context()); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryRLock behind a waiting writer: %v", err)
	}
	read := make(chan *mutex.Lock)
	go func() {
		l, err := rw.RLock(t.Context())
		if err != nil {
			t.Error(err)
		}
		read <- l
	}()
	eventually(t, "join of the reader", func() bool { return len(members(t, c, name)) == 3 })
	unlock(t, first)
	w := <-written
	select {
	case <-read:
		t.Fatal("the reader overtook the writer")
	default:
	}
	unlock(t, w)
	unlock(t, <-read)
}

func tryRW(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ra, rb := mutex.NewRWMutex(a, name, nil), mutex.NewRWMutex(b, name, nil)
	var held []*mutex.Lock
	for _, m := range []*mutex.RWMutex{ra, rb, ra, rb} {
		l, err := m.TryRLock(t.Context())
		if err != nil {
			t.Fatalf("TryRLock beside %d readers: %v", len(held), err)
		}
		held = append(held, l)
	}
	if _, err := rb.TryLock(t.Context()); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryLock among readers: %v", err)
	}
	if n := len(members(t, c, name)); n != len(held) {
		t.Errorf("%d keys for %d readers", n, len(held))
	}
	who, err := ra.Inspect(t.Context())
	if err != nil || len(who) != len(held) || !who[3].Holder || !who[3].Shared {
		t.Errorf("Inspect: %+v, %v", who, err)
	}
	for _, l := range held {
		unlock(t, l)
	}
	w, err := rb.TryLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ra.TryRLock(t.Context()); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryRLock of a lock held for writing: %v", err)
	}
	unlock(t, w)
}

func downgrade(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	held := lock(t, a, name)
	fence := held.Fence()
	read := make(chan *mutex.Lock)
	go func() {
		l, err := mutex.NewRWMutex(b, name, nil).RLock(t.Context())
		if err != nil {
			t.Error(err)
		}
		read <- l
	}()
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	for range 2 { // the second changes nothing
		if err := held.Downgrade(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := <-read // while the first still holds the lock
	if err := held.Err(); err != nil || held.Fence() != fence {
		t.Errorf("after Downgrade: %v, fence %d, was %d", err, held.Fence(), fence)
	}
	if _, err := mutex.New(b, name, nil).TryLock(t.Context()); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryLock beside a downgraded lock: %v", err)
	}
	unlock(t, held)
	unlock(t, r)
	if err := held.Downgrade(t.Context()); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Downgrade of a lock given back: %v", err)
	}
}

// withMutex: a plain mutex of the same name is a writer.
func withMutex(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	r, err := mutex.NewRWMutex(a, name, nil).RLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mutex.New(b, name, nil).TryLock(t.Context()); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("Mutex.TryLock beside a reader: %v", err)
	}
	unlock(t, r)
	held := lock(t, b, name)
	if _, err := mutex.NewRWMutex(a, name, nil).TryRLock(t.Context()); !errors.Is(err,
		mutex.ErrLocked) {
		t.Errorf("TryRLock beside a Mutex: %v", err)
	}
	unlock(t, held)
}

func locker(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	fail := func(err error) { t.Error(err) }
	count := 0
	var all sync.WaitGroup
	for i := range 6 {
		l := mutex.New([]*session.Session{a, b}[i%2], name, nil).Locker(t.Context(), fail)
		all.Go(func() {
			for range 10 {
				l.Lock()
				count++
				l.Unlock()
			}
		})
	}
	all.Wait()
	if count != 60 {
		t.Errorf("counted %d", count)
	}
	var told error
	l := mutex.New(a, name, nil).Locker(t.Context(), func(err error) { told = err })
	l.Lock()
	if _, err := c.Delete(t.Context(), name+"/", gateway.Prefix()); err != nil {
		t.Fatal(err)
	}
	if l.Unlock(); !errors.Is(told, session.ErrNotHeld) {
		t.Errorf("Unlock of a lost lock told %v", told)
	}
}
