package mutex_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// lockAll makes sessions lock one after the other, each in a goroutine, until the end of the test.
func lockAll(t *testing.T, name string, sessions ...*session.Session) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for _, s := range sessions {
		go func() { _, _ = mutex.New(s, name, nil).Lock(ctx) }()
		synctest.Wait()
	}
}

func explain(t *testing.T, s *session.Session) *session.Explanation {
	t.Helper()
	e, err := mutex.New(s, "a", nil).Explain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestExplainNamesTheHolderAndThoseAhead: a free lock needs nothing. Of a held one the holder is
// named, and how many wait ahead of the session's own call, or of a new one.
func TestExplainNamesTheHolderAndThoseAhead(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var all []*session.Session
		for range 4 {
			all = append(all, bubble.Session(t, etcd))
		}
		if e := explain(t, all[0]); len(e.Needs) > 0 || e.String() != "free" {
			t.Errorf("free: %+v", e)
		}
		lockAll(t, "a", all[:3]...)
		e := explain(t, all[2])
		if len(e.Holders) != 1 || e.Ahead != 1 ||
			!strings.Contains(e.Key, all[2].Lease().String()) {
			t.Fatalf("%+v", e)
		}
		h := e.Holders[0]
		if h.Lease != all[0].Lease() || h.Session == nil || h.Session.Name != "me" || h.Suspect ||
			h.TTL != session.DefaultTTL || h.Left < h.TTL/2 {
			t.Errorf("%+v", h)
		}
		if text := e.String(); !strings.Contains(text, "held by me (") ||
			!strings.Contains(text, "1 that wait ahead") {
			t.Error(text)
		}
		if e := explain(t, all[3]); e.Key != "" || e.Ahead != 2 {
			t.Errorf("of a session that does not wait: %+v", e)
		}
	})
}

// TestExplainShowsAHolderThatDoesNotRenew: the holder is suspect when more than half of the time
// to live of its lease has passed without a renewal.
func TestExplainShowsAHolderThatDoesNotRenew(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var cut atomic.Bool
		c := etcd.ClientSeen(t, func(r *http.Request) {
			if cut.Load() {
				<-r.Context().Done()
			}
		})
		holder, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		lockAll(t, "a", holder)
		cut.Store(true)
		time.Sleep(12 * time.Second)
		h := explain(t, bubble.Session(t, etcd)).Holders[0]
		if !h.Suspect || h.Left > 7*time.Second || h.TTL-h.Left < 8*time.Second {
			t.Errorf("%+v", h)
		}
		cut.Store(false)
		holder.Orphan()
	})
}

// TestExplainShowsADetachedLock: nobody has to renew its lease, so that it is not suspect.
func TestExplainShowsADetachedLock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		a, b := bubble.Session(t, etcd), bubble.Session(t, etcd)
		lock, err := mutex.New(a, "a", &mutex.Options{Detachable: true}).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Detach(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		e := explain(t, b)
		if len(e.Holders) != 1 || !e.Holders[0].Detached || e.Holders[0].Suspect ||
			!strings.Contains(e.String(), "the lock is detached, has to be released by its token") {
			t.Errorf("%+v", e)
		}
	})
}

// TestExplainFindsAKeyWithoutALease: a key that no lease will delete is named, as the holder and
// ahead of a waiter.
func TestExplainFindsAKeyWithoutALease(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		a, b := bubble.Session(t, etcd), bubble.Session(t, etcd)
		etcd.Put("a/maintenance", "")
		e := explain(t, a)
		if len(e.Holders) != 1 || e.Holders[0].Lease != 0 ||
			!strings.Contains(e.String(), "a/maintenance has no lease") {
			t.Errorf("%+v", e)
		}
		etcd.Delete("a/maintenance")
		lockAll(t, "a", b)
		etcd.Put("a/later", "")
		if e := explain(t, a); e.Ahead != 1 ||
			!strings.Contains(e.String(), "a/later has no lease") {
			t.Errorf("%+v", e)
		}
	})
}

// TestExplainReturnsTheErrorOfItsRead: without a leader, and without permission.
func TestExplainReturnsTheErrorOfItsRead(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := mutex.New(bubble.Session(t, etcd), "a", nil)
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
		if _, err := m.Explain(t.Context()); !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("without permission: %v", err)
		}
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer {
			return fakeetcd.Error(gateway.CodeUnavailable, "etcdserver: no leader")
		})
		_, err := m.Explain(bubble.Within(t, 5*time.Second))
		if !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "no leader") {
			t.Errorf("without a leader: %v", err)
		}
		etcd.Script(nil)
	})
}

// TestAWaitIsReportedWithoutARequest: a call that waits is reported after Options.WaitingAfter, and
// again after pauses that double, and sends nothing meanwhile but the renewals of its lease.
func TestAWaitIsReportedWithoutARequest(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		holder := bubble.Session(t, etcd)
		m := mutex.New(holder, "a", nil)
		held, err := m.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var sent atomic.Int64
		c := etcd.ClientSeen(t, func(r *http.Request) {
			if r.URL.Path != "/v3/lease/keepalive" {
				sent.Add(1)
			}
		})
		waits := make(chan time.Duration, 10)
		waiting := func(_ context.Context, h session.HoldInfo, d time.Duration) {
			if h.Kind != "mutex" || h.Name != "a" || h.Key == "" || h.Fence == 0 {
				t.Errorf("%+v", h)
			}
			waits <- d
		}
		s, err := session.New(t.Context(), c, &session.Options{
			WaitingAfter: 2 * time.Second,
			Hooks:        session.Hooks{Waiting: waiting},
		})
		if err != nil {
			t.Fatal(err)
		}
		lockAll(t, "a", s)
		time.Sleep(3 * time.Second) // the watch has asked for the version of the server
		before := sent.Load()
		time.Sleep(7 * time.Second)
		if after := sent.Load(); after != before {
			t.Errorf("%d requests while blocked", after-before)
		}
		for _, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if got := <-waits; got != want {
				t.Errorf("reported after %v, want %v", got, want)
			}
		}
		if err := held.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if len(waits) > 0 {
			t.Error("reported after the grant")
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
