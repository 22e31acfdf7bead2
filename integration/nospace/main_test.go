// Package nospace_test tests the recipes on real etcd while its database is full. Calls that only
// delete keys work, even if answers are lost, and calls that put keys are refused.
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

// soon is the time within which the next holder must be admitted. This takes about ten
// milliseconds, and up to a second more if the session retries in the background, because it pauses
// between tries.
const soon = 5 * time.Second

var (
	eventually = recipetest.Eventually
	figure     = recipetest.Figure
	fresh      = recipetest.Fresh
	members    = recipetest.Members
	within     = recipetest.Within
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an etcd with a quota of a few megabytes.
type server struct {
	*etcdtest.Cluster
	client *gateway.Client // connected without a faulty proxy
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
			size = 1 // before the alarm, etcd refuses only large values
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

// makeSpace frees space in the way that the documentation recommends to operators.
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

// session returns a session with a TTL so long that no hold ends with its lease during a test.
func (s *server) session(t *testing.T) *session.Session {
	t.Helper()
	return recipetest.NewSession(t, s.client, &session.Options{TTL: 2 * time.Minute})
}

// faulty returns such a session, and the proxy through which it sends its requests.
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

// call is a running function and its result.
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

// result waits until the call has returned, and returns its error.
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

// returned reports whether the call has returned.
func (c *call) returned() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// succeedsSoon waits for the call, which must succeed, and returns the time since start. More than
// soon is an error.
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
