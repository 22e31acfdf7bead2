package containers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

const (
	// startTimeout is long enough to pull the image.
	startTimeout = 5 * time.Minute
	// patience is the time for one command to the engine, and for a node to become healthy.
	patience = time.Minute
	// closing is the time that a session has to end, if etcd still answers.
	closing = time.Second
)

// Cluster is an etcd of one node or several. [Start] makes one. It is safe for concurrent use.
type Cluster struct {
	tb      testing.TB
	engine  *testcontainers.DockerClient
	network *testcontainers.DockerNetwork
	nodes   []*Node
}

// Start starts a cluster with a network of its own, and waits until all nodes are healthy. It runs
// until the end of the test. Nil options are the defaults. The test fails if no Docker engine
// answers, or if the nodes are not healthy within five minutes, in which the image may be pulled.
func Start(tb testing.TB, opts *Options) *Cluster {
	tb.Helper()
	o := opts.complete()
	if o.Nodes < 0 {
		tb.Fatalf("holdfasttest/containers: start: %d nodes", o.Nodes)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	c := &Cluster{tb: tb}
	if err := c.start(ctx, o); err != nil {
		tb.Fatalf("holdfasttest/containers: start: %v", err)
	}
	for _, n := range c.nodes {
		n.waitHealthy(ctx)
	}
	return c
}

func (c *Cluster) start(ctx context.Context, o Options) (err error) {
	if c.engine, err = connect(ctx); err != nil {
		return err
	}
	c.tb.Cleanup(func() {
		if err := c.engine.Close(); err != nil {
			c.tb.Error(err)
		}
	})
	if c.network, err = network.New(ctx); err != nil {
		return err
	}
	testcontainers.CleanupNetwork(c.tb, c.network)
	var members []string
	for i := range o.Nodes {
		n := &Node{cluster: c, name: fmt.Sprintf("n%d", i)}
		c.nodes = append(c.nodes, n)
		members = append(members, n.name+"="+n.url(peerPort))
	}
	for _, n := range c.nodes {
		if err := n.create(ctx, o, strings.Join(members, ",")); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

// connect connects to the engine. It returns the panic of testcontainers-go as an error, because a
// panic would end all tests of the program.
func connect(ctx context.Context) (_ *testcontainers.DockerClient, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no Docker engine: %v", r)
		}
	}()
	return testcontainers.NewDockerClientWithOpts(ctx)
}

// Node returns the node at an index, from 0. It ends the test if there is none.
func (c *Cluster) Node(i int) *Node {
	c.tb.Helper()
	if i < 0 || i >= len(c.nodes) {
		c.tb.Fatalf("holdfasttest/containers: node %d of %d", i, len(c.nodes))
	}
	return c.nodes[i]
}

// Endpoints returns the URLs of the nodes, for a [gateway.Config].
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, n.endpoint)
	}
	return urls
}

// Network returns the network of the nodes, which testcontainers-go's package network adds other
// containers to. There the URLs of the nodes are http://n0:2379, http://n1:2379 and so on.
func (c *Cluster) Network() *testcontainers.DockerNetwork { return c.network }

// Config returns the settings of a client of the cluster. Add your own to it and pass it to
// [gateway.New]. The program must close the client before the test ends.
func (c *Cluster) Config() gateway.Config { return gateway.Config{Endpoints: c.Endpoints()} }

// Client returns a new client of the cluster. It is closed at the end of the test.
func (c *Cluster) Client() *gateway.Client {
	c.tb.Helper()
	client, err := gateway.New(c.Config())
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			c.tb.Error(err)
		}
	})
	return client
}

// Session returns a new session with a client of its own, like another process. Nil options are the
// defaults. It is closed at the end of the test. The test fails if the cluster does not answer.
func (c *Cluster) Session(opts *session.Options) *session.Session {
	c.tb.Helper()
	s, err := session.New(c.tb.Context(), c.Client(), opts)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		_ = s.Close(ctx) // the test may have stopped the nodes
	})
	return s
}

// WaitHealthy waits until all nodes are healthy. The test fails if one needs more than a minute.
func (c *Cluster) WaitHealthy() {
	c.tb.Helper()
	for _, n := range c.nodes {
		n.WaitHealthy()
	}
}
