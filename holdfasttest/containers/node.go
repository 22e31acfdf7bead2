package containers

import (
	"context"
	"time"

	dockernetwork "github.com/moby/moby/api/types/network"
	docker "github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/holdfast-go/holdfast/gateway"
)

// Node is one etcd of a [Cluster], in a container. Its faults last until their inverse; several may
// be on at once. They are safe for concurrent use.
type Node struct {
	cluster   *Cluster
	name      string
	container testcontainers.Container
	endpoint  string
}

// Name returns the name of the node, which is its name in the network too: n0 for the first.
func (n *Node) Name() string { return n.name }

// Endpoint returns the URL of the node. It never changes.
func (n *Node) Endpoint() string { return n.endpoint }

// Container returns the container, for logs, files and commands. Stop and start the node by its own
// methods.
func (n *Node) Container() testcontainers.Container { return n.container }

// Pause freezes the node: its connections stay open, and it answers nothing on them.
func (n *Node) Pause() {
	n.cluster.tb.Helper()
	n.command("pause", func(ctx context.Context, e *testcontainers.DockerClient, id string) error {
		_, err := e.ContainerPause(ctx, id, docker.ContainerPauseOptions{})
		return err
	})
}

// Unpause ends [Node.Pause].
func (n *Node) Unpause() {
	n.cluster.tb.Helper()
	n.command("unpause", func(ctx context.Context, e *testcontainers.DockerClient, id string) error {
		_, err := e.ContainerUnpause(ctx, id, docker.ContainerUnpauseOptions{})
		return err
	})
}

// Cut takes the node off the network: neither clients nor the other nodes reach it. Its process
// goes on.
func (n *Node) Cut() {
	n.cluster.tb.Helper()
	n.command("cut", func(ctx context.Context, e *testcontainers.DockerClient, id string) error {
		_, err := e.NetworkDisconnect(ctx, n.cluster.network.ID,
			docker.NetworkDisconnectOptions{Container: id})
		return err
	})
}

// Rejoin ends [Node.Cut].
func (n *Node) Rejoin() {
	n.cluster.tb.Helper()
	n.command("rejoin", func(ctx context.Context, e *testcontainers.DockerClient, id string) error {
		_, err := e.NetworkConnect(ctx, n.cluster.network.ID, docker.NetworkConnectOptions{
			Container:      id,
			EndpointConfig: &dockernetwork.EndpointSettings{Aliases: []string{n.name}},
		})
		return err
	})
}

// Stop ends the process of the node by SIGKILL. The data stays.
func (n *Node) Stop() {
	n.cluster.tb.Helper()
	n.command("stop", func(ctx context.Context, e *testcontainers.DockerClient, id string) error {
		_, err := e.ContainerKill(ctx, id, docker.ContainerKillOptions{Signal: "KILL"})
		return err
	})
}

// Start ends [Node.Stop]: the node starts on its data. It does not wait for [Node.WaitHealthy],
// because nodes without a majority become healthy only together.
func (n *Node) Start() {
	n.cluster.tb.Helper()
	n.command("start", func(ctx context.Context, e *testcontainers.DockerClient, id string) error {
		_, err := e.ContainerStart(ctx, id, docker.ContainerStartOptions{})
		return err
	})
}

func (n *Node) command(
	name string, do func(ctx context.Context, e *testcontainers.DockerClient, id string) error,
) {
	tb := n.cluster.tb
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	if err := do(ctx, n.cluster.engine, n.container.GetContainerID()); err != nil {
		tb.Fatalf("holdfasttest/containers: %s %s: %v", name, n.name, err)
	}
}

// WaitHealthy waits until the node has confirmed a read of the majority. The test fails after a
// minute.
func (n *Node) WaitHealthy() {
	n.cluster.tb.Helper()
	ctx, cancel := context.WithTimeout(n.cluster.tb.Context(), patience)
	defer cancel()
	n.waitHealthy(ctx)
}

// waitHealthy waits until the node is healthy. The test fails if ctx ends first.
func (n *Node) waitHealthy(ctx context.Context) {
	tb := n.cluster.tb
	tb.Helper()
	client, err := gateway.New(gateway.Config{Endpoints: []string{n.endpoint}})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := n.healthy(ctx, client)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("holdfasttest/containers: %s is not healthy: %v", n.name, err)
		case <-again.C:
		}
	}
}
