package member_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		a, b := newClient(t, cfg), newClient(t, cfg)
		for name, test := range map[string]func(t *testing.T, a, b *gateway.Client){
			"Revoked":    revoked,
			"Deleted":    deleted,
			"Taken":      taken,
			"Take over":  takeOver,
			"Update":     update,
			"Observe":    observe,
			"Compaction": compaction,
			"Outage":     outage,
		} {
			t.Run(name, func(t *testing.T) { test(t, a, b) })
		}
	})
}

func revoked(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	m := join(t, a, group, member.Options{ID: "a"})
	for range 3 {
		was := ids(t, b, group)["a"]
		if err := b.Revoke(within(t, time.Minute), was.Lease); err != nil {
			t.Fatal(err)
		}
		took := back(t, b, m, was.Fence)
		figure(t, "back %v after the end of its lease", took)
	}
	if err := m.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	if left := ids(t, b, group); len(left) > 0 {
		t.Errorf("%+v", left)
	}
}

// deleted: the key is back after a deletion, and after a put without its lease.
func deleted(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	m := join(t, a, group, member.Options{ID: "a"})
	resp, err := b.Delete(within(t, time.Minute), m.Key())
	if err != nil {
		t.Fatal(err)
	}
	figure(t, "back %v after the deletion of its key", back(t, b, m, resp.Revision))
	put, err := b.Put(within(t, time.Minute), m.Key(), []byte("junk"))
	if err != nil {
		t.Fatal(err)
	}
	back(t, b, m, put.Revision)
	eventually(t, "state", func() bool { return m.State() == member.Joined })
	if err := m.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

func taken(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	m := join(t, a, group, member.Options{ID: "a", Session: &session.Options{Name: "first"}})
	_, err := member.Join(within(t, time.Minute), b, group, &member.Options{ID: "a"})
	other, ok := errors.AsType[*member.TakenError](err)
	if !ok || other.Session == nil || other.Session.Name != "first" {
		t.Errorf("Join = %v", err)
	}
	if err := m.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	second := join(t, b, group, member.Options{ID: "a"})
	if err := second.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

func takeOver(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	first := join(t, a, group, member.Options{ID: "a", Value: "first"})
	second := join(t, b, group, member.Options{ID: "a", Value: "second", TakeOver: true})
	<-first.Context().Done()
	if err := first.Err(); !errors.Is(err, member.ErrReplaced) {
		t.Errorf("the first has ended with %v", err)
	}
	if err := first.Leave(within(t, time.Minute)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Leave of the first = %v", err)
	}
	if got := ids(t, b, group); len(got) != 1 || got["a"].Value != "second" {
		t.Errorf("%+v", got)
	}
	if err := second.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

func update(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	m := join(t, a, group, member.Options{ID: "a/b c", Value: "1", Zone: "z"})
	ctx := within(t, time.Minute)
	if err := errors.Join(m.Update(ctx, "2"), m.SetWeight(ctx, 0)); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, b, group)["a/b c"]; got.Value != "2" || got.Weight != 0 || got.Zone != "z" {
		t.Errorf("%+v", got)
	}
	if err := m.Leave(ctx); err != nil {
		t.Error(err)
	}
}

// until reads views until one is as it should be.
func until(
	t *testing.T, c *gateway.Client, group string, done func(map[string]member.Member) bool,
) {
	t.Helper()
	last := int64(-1)
	for v, err := range member.Observe(within(t, recipetest.Patience), c, group) {
		if err != nil {
			t.Fatal(err)
		}
		if v.Revision <= last {
			t.Errorf("revision %d after %d", v.Revision, last)
		}
		last = v.Revision
		if done(byID(v)) {
			return
		}
	}
}

func observe(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	first := join(t, a, group, member.Options{ID: "a"})
	until(t, b, group, func(m map[string]member.Member) bool {
		if len(m) == 1 {
			join(t, a, group, member.Options{ID: "b"})
		}
		return len(m) == 2
	})
	if err := first.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	until(t, b, group, func(m map[string]member.Member) bool {
		return len(m) == 1 && m["b"].ID == "b"
	})
}

// proxied returns a proxy of a client's endpoint, and a client of the proxy.
func proxied(t *testing.T, of *gateway.Client) (*faultproxy.Proxy, *gateway.Client) {
	t.Helper()
	p, err := faultproxy.New(of.Endpoints()[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, newClient(t, gateway.Config{Endpoints: []string{p.URL()}})
}

// compaction: an observer whose stream is cut misses events that are then compacted.
func compaction(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	p, observer := proxied(t, b)
	ctx := within(t, time.Minute)
	first := join(t, a, group, member.Options{ID: "a"})
	join(t, a, group, member.Options{ID: "b"})
	cut := false
	until(t, observer, group, func(m map[string]member.Member) bool {
		if !cut {
			cut = true
			refused := p.Refuse()
			p.Reset()
			left := first.Leave(ctx)
			join(t, a, group, member.Options{ID: "c"})
			put, err := b.Put(ctx, group, nil)
			if err == nil {
				err = b.Compact(ctx, put.Revision)
			}
			if err := errors.Join(refused, left, err, p.Admit()); err != nil {
				t.Fatal(err)
			}
			return false
		}
		if len(m) != 2 || m["b"].ID != "b" || m["c"].ID != "c" {
			t.Errorf("%+v", m)
		}
		return true
	})
}

// outage: a member returns after its lease has expired in an outage.
func outage(t *testing.T, a, _ *gateway.Client) {
	group := fresh(t)
	p, c := proxied(t, a)
	m := join(t, c, group, member.Options{
		ID: "a", Session: &session.Options{TTL: 2 * time.Second, AllowShortTTL: true},
	})
	p.Blackhole(faultproxy.Both)
	eventually(t, "expiry", func() bool { return len(ids(t, a, group)) == 0 })
	if m.State() != member.Away {
		t.Errorf("the member is %v", m.State())
	}
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	figure(t, "back %v after the end of an outage", back(t, a, m, 0))
	if err := m.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}
