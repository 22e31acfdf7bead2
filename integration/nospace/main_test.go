// Package nospace_test shows what can be done while etcd's database is full, on real etcd: what
// only deletes is done, although an answer is lost, and what puts a key is refused.
package nospace_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

const patience = recipetest.Patience

// soon is how long the next holder may wait for its turn. It takes some ten milliseconds, and up to
// a second more where the session goes on in the background, which pauses between its tries.
const soon = 5 * time.Second

var (
	eventually = recipetest.Eventually
	figure     = recipetest.Figure
	fresh      = recipetest.Fresh
	members    = recipetest.Members
	within     = recipetest.Within
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an etcd that a few megabytes fill.
type server struct {
	*etcdtest.Cluster
	client *gateway.Client // through which no answer is lost
}

const fillPrefix = "fill/"

func forEachServer(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		options := recipetest.Server(version)
		options.ExtraArgs = []string{"--quota-backend-bytes=8388608"}
		c := etcdtest.Start(t, options)
		client := recipetest.NewClient(t, gateway.Config{Endpoints: c.Endpoints()})
		test(t, &server{c, client})
	})
}

// fill returns when etcd refuses every put because its database is full.
func (s *server) fill(t *testing.T) {
	t.Helper()
	ctx := within(t, time.Minute)
	for i := 0; ; i++ {
		size := 100_000
		if s.alarmed(t) {
			size = 1 // what is large is refused before the alarm is raised
		}
		_, err := s.client.Put(ctx, fmt.Sprintf("%s%d", fillPrefix, i), make([]byte, size))
		switch {
		case errors.Is(err, gateway.ErrNoSpace) && size == 1:
			return
		case err != nil && !errors.Is(err, gateway.ErrNoSpace):
			t.Fatal(err)
		}
	}
}

func (s *server) alarmed(t *testing.T) bool {
	t.Helper()
	resp, err := s.client.Cluster().AlarmList(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return len(resp.Alarms) > 0
}

// makeSpace does what the documentation tells an operator to do.
func (s *server) makeSpace(t *testing.T) {
	t.Helper()
	ctx := within(t, time.Minute)
	resp, err := s.client.Delete(ctx, fillPrefix, gateway.Prefix())
	if err == nil {
		err = s.client.Compact(ctx, resp.Revision, gateway.Physical())
	}
	if err == nil {
		err = s.client.Member(s.Endpoints()[0]).Defragment(ctx)
	}
	if err == nil {
		_, err = s.client.Cluster().AlarmDisarm(ctx, gateway.Alarm{})
	}
	if err == nil {
		_, err = s.client.Put(ctx, "space", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// session lives so long that nothing below ends with its lease.
func (s *server) session(t *testing.T) *session.Session {
	t.Helper()
	return recipetest.NewSession(t, s.client, &session.Options{TTL: 2 * time.Minute})
}

// faulty is such a session whose requests go through a proxy.
func (s *server) faulty(t *testing.T) (*session.Session, *faultproxy.HTTPProxy) {
	t.Helper()
	p, err := faultproxy.NewHTTP(s.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	c := recipetest.NewClient(t, gateway.Config{Endpoints: []string{p.URL()}})
	return recipetest.NewSession(t, c, &session.Options{TTL: 2 * time.Minute}), p
}

// call is a function that runs, and what came of it.
type call struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	at     time.Time // when it returned
}

func goCall(t *testing.T, f func(ctx context.Context) error) *call {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	c := &call{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = f(ctx)
		c.at = time.Now()
	}()
	t.Cleanup(func() { cancel(); <-c.done })
	return c
}

// result waits for the end of the call.
func (c *call) result(t *testing.T) error {
	t.Helper()
	select {
	case <-c.done:
		return c.err
	case <-within(t, patience).Done():
		t.Fatal("it does not return")
		return nil
	}
}

// returned tells whether the call has ended.
func (c *call) returned() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// succeedsSoon wants the call to succeed a short while after start.
func (c *call) succeedsSoon(t *testing.T, start time.Time) time.Duration {
	t.Helper()
	if err := c.result(t); err != nil {
		t.Fatal(err)
	}
	took := c.at.Sub(start)
	if took > soon {
		t.Errorf("it took %v", took)
	}
	return took
}

var transactions = faultproxy.Path("/v3/kv/txn")
