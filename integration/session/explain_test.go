package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestExplainAnswersRightInEachState asks Explain on etcd in each of the states for which a call
// may wait.
func TestExplainAnswersRightInEachState(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		open := func(t *testing.T) *session.Session {
			return recipetest.NewSession(t, recipetest.NewClient(t, cfg), nil)
		}
		for name, test := range map[string]func(t *testing.T, ctx context.Context, a, b *session.Session){
			"held": explainHeld, "a key without a lease": explainUnleased,
			"a paused queue": explainPaused, "a heavy waiter ahead": explainHeavy,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, within(t, 20*time.Second), open(t), open(t))
			})
		}
		t.Run("a suspect holder", func(t *testing.T) {
			t.Parallel()
			explainSuspect(t, within(t, 30*time.Second), own, open(t))
		})
	})
}

// has fails the test if an explanation does not contain the texts.
func has(t *testing.T, e *session.Explanation, err error, texts ...string) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(e.String(), text) {
			t.Errorf("%q does not contain %q", e, text)
		}
	}
}

// waiter starts a call and returns when its key is the n-th of the line.
func waiter(t *testing.T, s *session.Session, name string, n int, call func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	t.Cleanup(func() { <-done }) //nolint:errcheck // its context has ended
	recipetest.Eventually(t, "the waiter", func() bool {
		return len(members(t, s.Client(), name)) == n
	})
}

// explainHeld: the holder, and how many wait ahead of the own call and of a new one.
func explainHeld(t *testing.T, ctx context.Context, a, b *session.Session) {
	name := fresh(t)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := mutex.New(b, name, nil)
	e, err := m.Explain(ctx)
	has(t, e, err, "free")
	held, err := mutex.New(a, name, nil).Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		waiter(t, a, name, n+2, func() error { _, err := m.Lock(ctx); return err })
	}
	e, err = m.Explain(ctx)
	has(t, e, err, held.Key(), "held by", "has to be released; it renewed its lease")
	if e.Ahead != 0 || !strings.HasPrefix(e.Key, name+"/"+b.Lease().String()) {
		t.Errorf("of the first waiter: %+v", e)
	}
	if h := e.Holders[0]; h.Lease != a.Lease() || h.Fence != held.Fence() || h.Session == nil ||
		h.Suspect || h.TTL != session.DefaultTTL {
		t.Errorf("the holder: %+v", h)
	}
	e, err = mutex.New(a, name, nil).Explain(ctx)
	has(t, e, err, held.Key(), "2 that wait ahead")
	if e.Ahead != 2 {
		t.Errorf("of a new call: %+v", e)
	}
	cancel()
}

func explainUnleased(t *testing.T, ctx context.Context, a, _ *session.Session) {
	name := fresh(t)
	if _, err := a.Client().Put(ctx, name+"/maintenance", nil); err != nil {
		t.Fatal(err)
	}
	e, err := mutex.New(a, name, nil).Explain(ctx)
	has(t, e, err, name+"/maintenance has no lease")
}

func explainPaused(t *testing.T, ctx context.Context, a, _ *session.Session) {
	q := queue.New(a, fresh(t), nil)
	if _, err := q.Enqueue(ctx, []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := q.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	e, err := q.Explain(ctx)
	has(t, e, err, "the queue is paused and has to be resumed")
	if len(e.Needs) != 1 {
		t.Errorf("%q", e.Needs)
	}
}

func explainHeavy(t *testing.T, ctx context.Context, a, b *session.Session) {
	name := fresh(t)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := semaphore.New(a, name, 4, nil).Acquire(ctx, 3); err != nil {
		t.Fatal(err)
	}
	waiter(t, a, name, 2, func() error {
		_, err := semaphore.New(b, name, 4, nil).Acquire(ctx, 2)
		return err
	})
	e, err := semaphore.New(a, name, 4, nil).Explain(ctx)
	has(t, e, err, "3 of 4 units are in use", b.Lease().String(), "needs 2 units, and 1 are free",
		"1 that wait ahead")
	cancel()
}

// explainSuspect: the holder is cut off, and its lease has not expired yet.
func explainSuspect(
	t *testing.T, ctx context.Context, own *etcdtest.Cluster, b *session.Session,
) {
	proxy, err := faultproxy.New(own.Member(0).Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	c := recipetest.NewClient(t, gateway.Config{Endpoints: []string{"http://" + proxy.Addr()}})
	s, err := session.New(ctx, c, &session.Options{TTL: 12 * time.Second, Name: "cut off"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Orphan)
	name := fresh(t)
	m := mutex.New(b, name, nil)
	held, err := mutex.New(s, name, nil).Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Blackhole(faultproxy.Up | faultproxy.Down)
	var e *session.Explanation
	recipetest.Eventually(t, "the holder to be suspect", func() bool {
		e, err = m.Explain(ctx)
		return err != nil || len(e.Holders) == 0 || e.Holders[0].Suspect
	})
	has(t, e, err, held.Key(), "held by cut off", "it has not renewed its lease for")
	if len(e.Holders) != 1 || e.Holders[0].Left > 5*time.Second {
		t.Errorf("%+v", e.Holders)
	}
}

// TestExplainReturnsTheErrorOfEtcd: without a leader and without permission, Explain returns the
// error that says so.
func TestExplainReturnsTheErrorOfEtcd(t *testing.T) {
	t.Parallel()
	t.Run("no leader", func(t *testing.T) {
		t.Parallel()
		options := recipetest.Server(etcdproc.Versions()[0])
		options.Members = 3
		own := etcdtest.Start(t, options)
		ctx := within(t, 30*time.Second)
		c := recipetest.NewClient(t, gateway.Config{Endpoints: own.Endpoints()[:1]})
		s, err := session.New(ctx, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Orphan)
		for _, m := range own.Members()[1:] {
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err = mutex.New(s, "a", nil).Explain(short)
		text := fmt.Sprint(err)
		figure(t, "without a quorum, Explain returns after %v: %s",
			time.Since(began).Round(100*time.Millisecond), text)
		if !strings.Contains(text, "leader") && !strings.Contains(text, "timed out") {
			t.Error(text)
		}
	})
	t.Run("no permission", func(t *testing.T) {
		t.Parallel()
		options := recipetest.Server(etcdproc.Versions()[0])
		options.RootPassword = "root-password"
		own := etcdtest.Start(t, options)
		ctx := within(t, 30*time.Second)
		cfg := gateway.Config{
			Endpoints: own.Endpoints(), Username: "root", Password: "root-password",
			AllowPlaintextAuth: true,
		}
		root := recipetest.NewClient(t, cfg)
		if err := errors.Join(root.Auth().RoleAdd(ctx, "worker"),
			root.Auth().UserAdd(ctx, "worker", "password"),
			root.Auth().UserGrantRole(ctx, "worker", "worker"),
			root.Auth().RoleGrantPermission(ctx, "worker", gateway.PermReadWrite,
				session.DefaultRecordPrefix, gateway.Prefix())); err != nil {
			t.Fatal(err)
		}
		cfg.Username, cfg.Password = "worker", "password"
		s := recipetest.NewSession(t, recipetest.NewClient(t, cfg), nil)
		if _, err := mutex.New(s, "a", nil).Explain(ctx); !errors.Is(err,
			gateway.ErrPermissionDenied) {
			t.Error(err)
		}
	})
}
