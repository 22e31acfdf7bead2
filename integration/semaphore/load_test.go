package semaphore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestNoMemberIsAdmittedBeyondAResizedLimit: under many resizes, no member is admitted to units
// that are not free.
func TestNoMemberIsAdmittedBeyondAResizedLimit(t *testing.T) {
	t.Parallel()
	const declared = 4
	direct := newClient(t, gateway.Config{})
	from, name := revision(t, direct), fresh(t)
	var handles []*semaphore.Semaphore
	for range 2 {
		c := newClient(t, gateway.Config{})
		for range 2 {
			handles = append(handles, semaphore.New(newSession(t, c, nil), name, declared, nil))
		}
	}
	var mu sync.Mutex
	var grants []grant
	var tooHeavy, full, resizes atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 40 {
		m := handles[i%len(handles)]
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				take := m.Acquire
				if rand.N(4) == 0 {
					take = m.TryAcquire
				}
				p, err := take(t.Context(), 1+rand.N(declared))
				switch {
				case errors.Is(err, semaphore.ErrExceedsLimit):
					tooHeavy.Add(1)
					continue
				case errors.Is(err, semaphore.ErrFull):
					full.Add(1)
					continue
				case err != nil:
					t.Error(err)
					return
				}
				mu.Lock()
				grants = append(grants, grantOf(p))
				mu.Unlock()
				pause(t, t.Context(), rand.N(5*time.Millisecond), "hold")
				if err := p.Release(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Go(func() {
		defer close(stop)
		for begin := time.Now(); time.Since(begin) < 4*time.Second; {
			m := handles[rand.N(len(handles))]
			if err := m.Resize(t.Context(), 1+rand.N(2*declared)); err != nil {
				t.Error(err)
				return
			}
			resizes.Add(1)
			pause(t, t.Context(), rand.N(20*time.Millisecond), "between")
		}
		resize(t, handles[0], declared) // so that all waiters are granted their permits
	})
	all.Wait()
	h := replay(t, cluster.Cluster, name, from)
	h.confirms(grants)
	figure(t, "%d grants and %d failed tries among %d resizes; %d were too heavy; at %d revisions "+
		"a resize had left less than was held",
		len(grants), full.Load(), resizes.Load(), tooHeavy.Load(), h.over)
	if h.over == 0 || tooHeavy.Load() == 0 || len(grants) == 0 {
		t.Error("the test tests too little")
	}
	if left := members(t, direct, name); len(left) > 0 {
		eventually(t, "the too heavy leave", func() bool {
			return len(members(t, direct, name)) == 0
		})
	}
	release(t, acquire(t, handles[0], declared))
}

// sometimes matches one in n of the requests that change keys.
func sometimes(n int) func(*faultproxy.Request) bool {
	return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(n) == 0 }
}

// TestGuaranteesHoldWhileAnswersAreLost: while answers are lost, requests arrive later than their
// repetitions, and callers stop waiting, no more than the limit is held, no permit leaks, and no
// member remains in the line.
func TestGuaranteesHoldWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	const drops, limit = 200, 3
	p := newHTTPProxy(t)
	direct := newClient(t, gateway.Config{})
	from, name := revision(t, direct), fresh(t)
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	// Not DuplicateLater, because the guarantees do not cover copies of requests that were
	// answered.
	late := p.Add(faultproxy.Rule{
		Match:  sometimes(15),
		Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})
	var sessions []*session.Session
	for range 4 {
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		sessions = append(sessions, newSession(t, c, &session.Options{TTL: 60 * time.Second}))
	}
	var held, gaveUp atomic.Int64
	var mu sync.Mutex
	var grants []grant
	var all sync.WaitGroup
	for i := range 12 {
		m := semaphore.New(sessions[i%len(sessions)], name, limit, nil)
		all.Go(func() {
			for dropped.Hits() < drops {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				take := m.Acquire
				switch rand.N(4) {
				case 0:
					take = m.TryAcquire
				case 1:
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), rand.N(100*time.Millisecond))
				}
				p, err := take(ctx, 1+rand.N(limit))
				ended := ctx.Err()
				cancel()
				switch {
				case errors.Is(err, semaphore.ErrFull):
					continue
				case err != nil && ended != nil:
					gaveUp.Add(1)
					continue
				case err != nil:
					t.Error(err)
					return
				}
				if n := held.Add(int64(p.Weight())); n > limit {
					t.Errorf("%d held", n)
				}
				mu.Lock()
				grants = append(grants, grantOf(p))
				mu.Unlock()
				held.Add(-int64(p.Weight()))
				if err := p.Release(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	// Late requests may still arrive. None of them may create a member again.
	pause(t, t.Context(), 1500*time.Millisecond, "late requests")
	p.Clear()
	eventually(t, "those who gave up leave", func() bool {
		return len(members(t, direct, name)) == 0
	})
	h := replay(t, cluster.Cluster, name, from)
	h.confirms(grants)
	figure(t, "%d answers dropped, %d requests late; %d grants, %d gave up",
		dropped.Hits(), late.Hits(), len(grants), gaveUp.Load())
	for _, s := range sessions {
		whole, err := semaphore.New(s, name, limit, nil).TryAcquire(within(t, 20*time.Second), limit)
		if err != nil {
			t.Fatalf("a permit has leaked: %v", err)
		}
		release(t, whole)
	}
}

// TestAllWaitersReadTheLineOnce: all waiters of a process together read the line once.
func TestAllWaitersReadTheLineOnce(t *testing.T) {
	const waiters = 60
	p := newHTTPProxy(t)
	reads := p.Add(faultproxy.Rule{
		Match:  faultproxy.Path("/v3/kv/range"),
		Action: faultproxy.DelayBefore(0),
	})
	streams := p.Add(faultproxy.Rule{
		Match:  faultproxy.Path("/v3/watch"),
		Action: faultproxy.DelayBefore(0),
	})
	direct := newClient(t, gateway.Config{})
	name := fresh(t)
	there := newSession(t, direct, nil)
	here := newSession(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}}), nil)
	held := acquire(t, semaphore.New(there, name, 3, nil), 3)
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			for range 3 {
				release(t, acquire(t, semaphore.New(here, name, 3, nil), 1+i%3))
			}
		})
	}
	joined(t, direct, name, waiters+1)
	begin := time.Now()
	release(t, held)
	all.Wait()
	figure(t, "%d grants to %d waiters of one process in %v: %d read, %d stream",
		3*waiters, waiters, time.Since(begin).Round(time.Millisecond), reads.Seen(), streams.Seen())
	if reads.Seen() != 1 || streams.Seen() != 1 {
		t.Errorf("%d reads, %d streams", reads.Seen(), streams.Seen())
	}
}
