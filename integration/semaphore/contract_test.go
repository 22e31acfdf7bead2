package semaphore_test

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
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// fixture is a cluster of one version with two clients, and a session of each.
type fixture struct {
	etcd *etcdtest.Cluster
	c    *gateway.Client
	a, b *session.Session
}

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		f := fixture{
			own, c, newSession(t, c, &session.Options{Name: "a"}),
			newSession(t, newClient(t, cfg), &session.Options{Name: "b"}),
		}
		for name, test := range map[string]func(*testing.T, fixture){
			"Safety":           safety,
			"Order":            order,
			"TryAcquire":       tryAcquire,
			"Tries at once":    triesAtOnce,
			"Resize":           resizeBothWays,
			"Too heavy":        tooHeavy,
			"Mismatch":         mismatch,
			"Declare anew":     declareAnew,
			"Cancel":           cancelWaiting,
			"Lost session":     lostSession,
			"Removed":          removed,
			"Inspect":          inspect,
			"Guard":            guard,
			"Mutex below":      mutexBelow,
			"Release too late": releaseTooLate,
			"Compaction":       compaction,
			"Run":              runAgain,
			"Break":            broken,
			"Overdue":          overdue,
		} {
			t.Run(name, func(t *testing.T) { test(t, f) })
		}
	})
}

func safety(t *testing.T, f fixture) {
	from, name := revision(t, f.c), fresh(t)
	var mu sync.Mutex
	var grants []grant
	var all sync.WaitGroup
	for i := range 8 {
		m := semaphore.New([]*session.Session{f.a, f.b}[i%2], name, 3, nil)
		all.Go(func() {
			for n := range 9 {
				p := acquire(t, m, 1+(i+n)%3)
				g := grantOf(p)
				pause(t, t.Context(), time.Millisecond, "hold")
				g.To = time.Now().UnixNano()
				release(t, p)
				mu.Lock()
				grants = append(grants, g)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	h := replay(t, f.etcd, name, from)
	h.confirms(grants)
	if most := overlap(grants); most > 3 || h.most != 3 || len(h.ever) != 72 {
		t.Errorf("%d held at a time; %d admitted, up to %d", most, len(h.ever), h.most)
	}
	if left := members(t, f.c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// order: a light request does not overtake a heavy one.
func order(t *testing.T, f fixture) {
	name := fresh(t)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	one, two := acquire(t, a, 1), acquire(t, b, 1)
	heavy := goAcquire(t.Context(), a, 3)
	joined(t, f.c, name, 3)
	light := goAcquire(t.Context(), b, 1)
	joined(t, f.c, name, 4)
	heavy.waits(t, f.a.Client())
	release(t, one)
	light.waits(t, f.b.Client())
	release(t, two)
	p := heavy.granted(t)
	light.waits(t, f.b.Client())
	release(t, p)
	q := light.granted(t)
	if q.Fence() <= p.Fence() {
		t.Errorf("fence %d after %d", q.Fence(), p.Fence())
	}
	release(t, q)
}

func tryAcquire(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a, b := semaphore.New(f.a, name, 5, nil), semaphore.New(f.b, name, 5, nil)
	var held []*semaphore.Permit
	take := func(m *semaphore.Semaphore, n int) {
		t.Helper()
		p, err := m.TryAcquire(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
	}
	refused := func(m *semaphore.Semaphore, n, used, waiting int) {
		t.Helper()
		before := revision(t, f.c)
		_, err := m.TryAcquire(ctx, n)
		var full *semaphore.FullError
		if !errors.Is(err, semaphore.ErrFull) || !errors.As(err, &full) ||
			*full != (semaphore.FullError{Name: name, Limit: 5, Used: used, Waiting: waiting}) {
			t.Errorf("TryAcquire = %v", err)
		}
		if after := revision(t, f.c); after != before {
			t.Errorf("a failed try took %d revisions", after-before)
		}
	}
	take(a, 3)
	refused(b, 3, 3, 0)
	refused(a, 3, 3, 0)
	take(b, 1)
	take(b, 1)
	refused(a, 1, 5, 0)
	release(t, held[0])
	waiting := goAcquire(ctx, a, 4)
	joined(t, f.c, name, 3)
	refused(b, 1, 2, 1) // it would fit, but there is a waiter
	release(t, held[1])
	release(t, waiting.granted(t))
	take(a, 4)
	release(t, held[2])
	release(t, held[3])
	// All members of a long line are counted.
	p := acquire(t, a, 5)
	many, stop := context.WithCancel(ctx)
	defer stop()
	var parked []*attempt
	for range 12 {
		parked = append(parked, goAcquire(many, b, 1))
	}
	joined(t, f.c, name, 13)
	refused(a, 1, 5, 12)
	stop()
	for _, w := range parked {
		<-w.done
	}
	joined(t, f.c, name, 1)
	release(t, p)
}

// triesAtOnce: concurrent tries never hold more than the limit, and each succeeds when it is alone.
func triesAtOnce(t *testing.T, f fixture) {
	from, name := revision(t, f.c), fresh(t)
	var mu sync.Mutex
	var grants []grant
	var all sync.WaitGroup
	for i := range 8 {
		m := semaphore.New([]*session.Session{f.a, f.b}[i%2], name, 4, nil)
		all.Go(func() {
			for got := 0; got < 10; {
				p, err := m.TryAcquire(t.Context(), 1+(i+got)%4)
				if errors.Is(err, semaphore.ErrFull) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				got++
				g := grantOf(p)
				g.To = time.Now().UnixNano()
				release(t, p)
				mu.Lock()
				grants = append(grants, g)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	eventually(t, "the line is empty", func() bool { return len(members(t, f.c, name)) == 0 })
	replay(t, f.etcd, name, from).confirms(grants)
	if most := overlap(grants); most > 4 {
		t.Errorf("%d held at a time", most)
	}
}

func inspect(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	empty, err := a.Inspect(ctx)
	if err != nil || empty.DeclaredLimit != 0 || empty.Limit != 0 || len(empty.Members) > 0 {
		t.Errorf("Inspect of nothing: %+v, %v", empty, err)
	}
	held := acquire(t, a, 2)
	waiting := goAcquire(ctx, b, 3)
	joined(t, f.c, name, 2)
	resize(t, a, 4)
	if _, err := f.c.Put(ctx, name+"/stranger", []byte("x")); err != nil {
		t.Fatal(err)
	}
	is, err := b.Inspect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if is.DeclaredLimit != 3 || is.Limit != 4 || is.Used != 2 || len(is.Members) != 3 {
		t.Fatalf("Inspect: %+v", is)
	}
	m := is.Members
	if !m[0].Holder || m[0].Weight != 2 || m[0].Fence != held.Fence() || m[0].Key != held.Key() ||
		m[0].Lease != f.a.Lease() ||
		m[0].Session == nil || m[0].Session.Name != "a" {
		t.Errorf("the holder: %+v", m[0])
	}
	if m[1].Holder || m[1].Weight != 3 || m[1].Session == nil || m[1].Session.Name != "b" {
		t.Errorf("the waiter: %+v", m[1])
	}
	if m[2].Holder || m[2].Weight != 4 || m[2].Session != nil {
		t.Errorf("the stranger: %+v", m[2])
	}
	if _, err := f.c.Delete(ctx, name+"/stranger"); err != nil {
		t.Fatal(err)
	}
	release(t, held)
	release(t, waiting.granted(t))
}

// mutexBelow: a mutex under the same name excludes all permits, and is excluded by each.
func mutexBelow(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	m, lock := semaphore.New(f.a, name, 3, nil), mutex.New(f.b, name, nil)
	p := acquire(t, m, 1)
	if _, err := lock.TryLock(ctx); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryLock beside a permit: %v", err)
	}
	type locked struct {
		l   *mutex.Lock
		err error
	}
	waiting := make(chan locked)
	go func() {
		l, err := lock.Lock(ctx)
		waiting <- locked{l, err}
	}()
	joined(t, f.c, name, 2)
	if _, err := m.TryAcquire(ctx, 1); !errors.Is(err, semaphore.ErrFull) {
		t.Errorf("TryAcquire past a waiting mutex: %v", err)
	}
	release(t, p)
	got := <-waiting
	if got.err != nil {
		t.Fatal(got.err)
	}
	var full *semaphore.FullError
	if _, err := m.TryAcquire(ctx, 1); !errors.As(err, &full) || full.Used != 3 {
		t.Errorf("TryAcquire beside a mutex: %v", err)
	}
	if err := got.l.Unlock(ctx); err != nil {
		t.Error(err)
	}
	release(t, acquire(t, m, 3))
}
