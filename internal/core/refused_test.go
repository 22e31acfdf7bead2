package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestRefusedRenewals: a server that rejects renewals, for any reason except that the lease is
// gone, does not end the session before its deadline, and not at all if it accepts one in time.
func TestRefusedRenewals(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]fakeetcd.Answer{
		"token": fakeetcd.Error(
			gateway.CodeUnauthenticated, "etcdserver: invalid auth token"),
		"token, old": fakeetcd.Error(
			gateway.CodeInvalidArgument, "etcdserver: revision of auth store is old"),
		"no user": fakeetcd.Error(
			gateway.CodeInvalidArgument, "etcdserver: user name is empty"),
		"permission":         fakeetcd.Denied(),
		"not primary lessor": fakeetcd.Error(gateway.CodeUnknown, "not a primary lessor"),
		"too many requests": fakeetcd.Error(
			gateway.CodeResourceExhausted, "etcdserver: too many requests"),
		"not etcd":       {Status: 404, Body: []byte("404 page not found")},
		"nonsense":       {Status: 200, Body: []byte("<html>")},
		"nobody's lease": {Status: 200, Body: []byte(`{"result":{"ID":"1","TTL":"15"}}`)},
	} {
		t.Run(name+", for good", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				var refused atomic.Int32
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path != "/lease/keepalive" {
						return c.Apply()
					}
					refused.Add(1)
					return refusal
				})
				deadline := s.Deadline()
				time.Sleep(time.Until(deadline) - time.Millisecond)
				if err := s.Err(); err != nil || refused.Load() == 0 {
					t.Fatalf("ended before its time, after %d refusals: %v", refused.Load(), err)
				}
				time.Sleep(2 * time.Millisecond)
				if err := context.Cause(s.Context()); !errors.Is(err, session.ErrExpired) ||
					!s.Deadline().Equal(deadline) {
					t.Errorf("cause = %v, the deadline has moved by %v", err, s.Deadline().Sub(deadline))
				}
				if !etcd.Expiry(s.Lease()).IsZero() {
					t.Error("the server was first")
				}
			})
		})
		t.Run(name+", for a while", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/lease/keepalive" {
						return refusal
					}
					return c.Apply()
				})
				time.Sleep(12 * time.Second)
				etcd.Script(nil)
				time.Sleep(time.Minute)
				if err := s.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
