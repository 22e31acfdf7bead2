package containers_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest/containers"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestALockIsHandedOverWhileNodesFail: sessions stay alive and hand a lock over while one node
// after the other is paused, cut off from the network, and stopped. Each time it is the node that
// the clients prefer.
func TestALockIsHandedOverWhileNodesFail(t *testing.T) {
	needEngine(t)
	etcd := containers.Start(t, &containers.Options{Nodes: 3})
	for i, fault := range []struct {
		name        string
		begin, heal func(*containers.Node)
	}{
		{"paused", (*containers.Node).Pause, (*containers.Node).Unpause},
		{"cut off", (*containers.Node).Cut, (*containers.Node).Rejoin},
		{"stopped", (*containers.Node).Stop, (*containers.Node).Start},
	} {
		t.Run(fault.name, func(t *testing.T) {
			node := etcd.Node(i)
			preferred := append([]string{node.Endpoint()}, others(etcd.Endpoints(), i)...)
			a, b := newSession(t, preferred), newSession(t, preferred)
			name := "job-" + fault.name
			takeTurns(t, name, a, b)
			fault.begin(node)
			begin := time.Now()
			takeTurns(t, name, a, b)
			t.Logf("figure: node %s: the next six hand-overs took %v", fault.name,
				time.Since(begin).Round(time.Millisecond))
			// This loop lasts longer than the lease, so a session without renewals would end.
			for time.Since(begin) < ttl+time.Second {
				takeTurns(t, name, a, b)
			}
			fault.heal(node)
			for _, s := range []*session.Session{a, b} {
				if err := s.Err(); err != nil {
					t.Error(err)
				}
			}
			node.WaitHealthy()
		})
	}
}

const ttl = 5 * time.Second

// newSession returns a session of a client that prefers the first of the endpoints.
func newSession(t *testing.T, endpoints []string) *session.Session {
	t.Helper()
	c, err := gateway.New(gateway.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := session.New(t.Context(), c, &session.Options{TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func others(all []string, not int) []string {
	return append(append([]string{}, all[:not]...), all[not+1:]...)
}

// takeTurns passes a lock between two sessions. It fails the test if a fence does not increase.
func takeTurns(t *testing.T, name string, sessions ...*session.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var last int64
	for i := range 6 {
		l, err := mutex.New(sessions[i%len(sessions)], name, nil).Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if l.Fence() <= last {
			t.Fatalf("fence %d after %d", l.Fence(), last)
		}
		last = l.Fence()
		if err := l.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
