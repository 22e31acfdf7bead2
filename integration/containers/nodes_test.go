package containers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	dockernetwork "github.com/moby/moby/api/types/network"
	docker "github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// nodes is a cluster of three containers. It does not use the module for etcd, which gives access
// only to the first container.
type nodes struct {
	engine     *testcontainers.DockerClient
	network    *testcontainers.DockerNetwork
	containers []testcontainers.Container
	endpoints  []string
}

func startNodes(t *testing.T) *nodes {
	t.Helper()
	img := image(t)
	engine, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	clean(t, func(context.Context) error { return engine.Close() })
	lan, err := network.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	clean(t, lan.Remove)
	n := &nodes{engine: engine, network: lan}
	for i := range 3 {
		name := nodeName(i)
		c, err := testcontainers.Run(t.Context(), img,
			testcontainers.WithExposedPorts("2379/tcp"),
			network.WithNetwork([]string{name}, lan),
			testcontainers.WithCmd("etcd", "--name="+name,
				"--listen-client-urls=http://0.0.0.0:2379",
				"--advertise-client-urls=http://"+name+":2379",
				"--listen-peer-urls=http://0.0.0.0:2380",
				"--initial-advertise-peer-urls=http://"+name+":2380",
				"--initial-cluster=n0=http://n0:2380,n1=http://n1:2380,n2=http://n2:2380"))
		if c != nil {
			clean(t, func(ctx context.Context) error { return c.Terminate(ctx, atOnce) })
		}
		if err != nil {
			t.Fatal(err)
		}
		url, err := c.PortEndpoint(t.Context(), "2379/tcp", "http")
		if err != nil {
			t.Fatal(err)
		}
		n.containers, n.endpoints = append(n.containers, c), append(n.endpoints, url)
	}
	healthy(t, n.endpoints...)
	return n
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }

// TestALockIsHandedOverWhileNodesFail: sessions stay alive and hand a lock over while one node
// after the other is paused, cut off from the network, and stopped. Each time it is the node that
// the clients prefer.
func TestALockIsHandedOverWhileNodesFail(t *testing.T) {
	n := startNodes(t)
	id := func(i int) string { return n.containers[i].GetContainerID() }
	for _, fault := range []struct {
		name        string
		node        int
		begin, heal func(ctx context.Context) error
	}{
		{
			"paused", 0,
			func(ctx context.Context) error {
				_, err := n.engine.ContainerPause(ctx, id(0), docker.ContainerPauseOptions{})
				return err
			},
			func(ctx context.Context) error {
				_, err := n.engine.ContainerUnpause(ctx, id(0), docker.ContainerUnpauseOptions{})
				return err
			},
		},
		{
			"cut off", 1,
			func(ctx context.Context) error {
				_, err := n.engine.NetworkDisconnect(ctx, n.network.ID,
					docker.NetworkDisconnectOptions{Container: id(1)})
				return err
			},
			func(ctx context.Context) error {
				_, err := n.engine.NetworkConnect(ctx, n.network.ID, docker.NetworkConnectOptions{
					Container: id(1), EndpointConfig: &dockernetwork.EndpointSettings{Aliases: []string{nodeName(1)}},
				})
				return err
			},
		},
		{
			"stopped", 2,
			func(ctx context.Context) error {
				return n.containers[2].Stop(ctx, new(2*time.Second))
			},
			func(context.Context) error { return nil }, // it would get another port
		},
	} {
		t.Run(fault.name, func(t *testing.T) {
			preferred := append([]string{n.endpoints[fault.node]},
				others(n.endpoints, fault.node)...)
			a, b := newSession(t, client(t, preferred...)), newSession(t, client(t, preferred...))
			name := "job-" + fault.name
			takeTurns(t, name, a, b)
			if err := fault.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			takeTurns(t, name, a, b)
			t.Logf("figure: node %s: the next six hand-overs took %v", fault.name,
				time.Since(begin).Round(time.Millisecond))
			// This loop lasts longer than the lease, so a session without renewals would end.
			for time.Since(begin) < ttl+time.Second {
				takeTurns(t, name, a, b)
			}
			if err := fault.heal(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*session.Session{a, b} {
				if err := s.Err(); err != nil {
					t.Error(err)
				}
			}
			if fault.name == "stopped" {
				return
			}
			// The node is back when it confirms a read that needs the majority.
			url, err := n.containers[fault.node].PortEndpoint(t.Context(), "2379/tcp", "http")
			if err != nil {
				t.Fatal(err)
			}
			n.endpoints[fault.node] = url
			healthy(t, url)
		})
	}
}

const ttl = 5 * time.Second

func newSession(t *testing.T, c *gateway.Client) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), c, &session.Options{TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	clean(t, s.Close)
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
