package gauntlet_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
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

// lateDeadlinePeer delays answers, and loses all requests after the first renewal must have been
// answered. The server counts from before the delay, clientv3 from after it.
func lateDeadlinePeer(t *testing.T) (string, bool) {
	p := newPeer(t)
	p.link.Delay(faultproxy.Down, 3*time.Second)
	s := p.session(t, concurrency.WithTTL(5))
	name := fresh(t)
	must(t, concurrency.NewMutex(s, name).Lock(soon(t)))
	p.link.Blackhole(faultproxy.Up)
	lock(t, plain(t), name)
	select {
	case <-s.Done():
		return "Done came first", false
	default:
		return "another has the lock, and Done is open", true
	}
}

func lateDeadline(t *testing.T, opts *mutex.Options) string {
	link := newLink(t)
	c := recipetest.NewClient(t, gateway.Config{
		Endpoints:      []string{link.URL()},
		AttemptTimeout: 4 * time.Second,
	})
	link.Delay(faultproxy.Down, time.Second)
	s := recipetest.NewSession(t, c, &session.Options{TTL: 5 * time.Second})
	name := fresh(t)
	l := lockWith(t, s, name, opts)
	link.Blackhole(faultproxy.Up)
	lock(t, plain(t), name)
	if l.Context().Err() == nil || !errors.Is(l.Err(), session.ErrExpired) {
		t.Errorf("another has the lock, and ours: %v", l.Err())
	}
	return "the context ended first"
}

// firstDeadlinePeer: no renewal of the session is answered.
func firstDeadlinePeer(t *testing.T) (string, bool) {
	p := newPeer(t)
	lease, err := etcd.Grant(soon(t), 2)
	must(t, err)
	p.link.Blackhole(faultproxy.Both)
	s := p.session(t, concurrency.WithLease(lease.ID))
	eventually(t, "expiry", func() bool { return expired(t, lease.ID) })
	select {
	case <-s.Done():
		return "Done came first", false
	default:
		return "the lease of 2 s is gone, and Done is open", true
	}
}

func firstDeadline(t *testing.T) string {
	link := newHTTPLink(t)
	renewals := link.Add(faultproxy.Rule{
		Match:  faultproxy.Path("/v3/lease/keepalive"),
		Action: faultproxy.Refuse,
	})
	s := behind(t, link.URL(), &session.Options{TTL: 2 * time.Second, AllowShortTTL: true})
	eventually(t, "expiry", func() bool { return expired(t, clientv3.LeaseID(s.Lease())) })
	if s.Context().Err() == nil || !errors.Is(s.Err(), session.ErrExpired) {
		t.Errorf("the lease is gone, and the session: %v", s.Err())
	}
	if renewals.Hits() == 0 {
		t.Error("nothing was renewed")
	}
	return "the context ended first"
}

// leaseLeftPeer: a client can grant leases but cannot keep them alive.
func leaseLeftPeer(t *testing.T) (string, bool) {
	p := newPeer(t)
	granted := grants{Lease: p.Lease}
	must(t, p.Lease.Close())
	p.Lease = &granted
	s, err := concurrency.NewSession(p.Client)
	there := !expired(t, granted.last)
	return saw("%v, lease there: %v", err, there), s == nil && err != nil && there
}

// grants records the id of the lease that was granted last.
type grants struct {
	clientv3.Lease
	last clientv3.LeaseID
}

func (g *grants) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	resp, err := g.Lease.Grant(ctx, ttl)
	if err == nil {
		g.last = resp.ID
	}
	return resp, err
}

func leaseLeft(t *testing.T) string {
	link := newHTTPLink(t)
	var lease atomic.Int64
	link.Add(faultproxy.Rule{Action: faultproxy.Refuse, Match: func(r *faultproxy.Request) bool {
		var grant struct{ ID string }
		if r.Path == "/v3/lease/grant" && json.Unmarshal(r.Body, &grant) == nil {
			id, _ := strconv.ParseInt(grant.ID, 10, 64)
			lease.Store(id)
		}
		return r.Path == "/v3/kv/txn"
	}})
	c := recipetest.NewClient(t, gateway.Config{Endpoints: []string{link.URL()}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := session.New(ctx, c, &session.Options{TTL: time.Minute}); err == nil ||
		lease.Load() == 0 {
		t.Fatalf("New = %v, lease %x", err, lease.Load())
	}
	eventually(t, "revocation", func() bool { return expired(t, clientv3.LeaseID(lease.Load())) })
	return "the lease is revoked"
}

func noReasonPeer(t *testing.T) (string, bool) {
	s := newPeer(t).session(t, concurrency.WithTTL(3)) // it notices its end at a renewal
	revoke(t, s.Lease())
	<-s.Done()
	<-s.Ctx().Done()
	cause := context.Cause(s.Ctx())
	return saw("cause: %v", cause), cause == context.Canceled //nolint:errorlint // nothing but that
}

func noReason(t *testing.T) string {
	s := plain(t)
	revoke(t, clientv3.LeaseID(s.Lease()))
	<-s.Context().Done()
	cause := context.Cause(s.Context())
	if !errors.Is(cause, session.ErrRevoked) {
		t.Errorf("cause: %v", cause)
	}
	return saw("cause: %v", cause)
}

func closeBlocksPeer(t *testing.T) (string, bool) {
	p := newPeer(t)
	s := p.session(t)
	p.link.Blackhole(faultproxy.Both)
	closing := begin(s.Close)
	stuck := closing.stuck(3 * time.Second)
	must(t, p.Close()) // ends the call
	_ = closing.end(t)
	return saw("blocked after 3 s: %v", stuck), stuck
}

func closeBlocks(t *testing.T) string {
	link := newLink(t)
	s := behind(t, link.URL(), &session.Options{TTL: time.Minute})
	link.Blackhole(faultproxy.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	closing := begin(func() error { return s.Close(ctx) })
	<-s.Context().Done()
	if closing.stuck(3 * time.Second) {
		t.Error("blocked after 3 s")
	}
	if err := closing.end(t); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close = %v", err)
	}
	return "ended with its context of 300 ms"
}
