package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	dockernetwork "github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"

	"github.com/holdfast-go/holdfast/gateway"
)

const (
	clientPort = "2379"
	peerPort   = "2380"
	// attempts is the number of ports that are tried for a node.
	attempts = 10
	// logLines is the number of lines of each node's log that a failed test prints.
	logLines = 40
	// probe is the time for one question about a node's health.
	probe = 3 * time.Second
)

// url returns a URL of the node in the network of the cluster.
func (n *Node) url(port string) string { return "http://" + net.JoinHostPort(n.name, port) }

// create makes the container and starts it. The port on the engine's machine is given, because the
// engine would draw another one when the node is started again or rejoins the network.
func (n *Node) create(ctx context.Context, o Options, members string) error {
	for range attempts - 1 {
		err := n.createAt(ctx, drawPort(), o, members)
		if err == nil || !isTaken(err) {
			return err
		}
	}
	return n.createAt(ctx, drawPort(), o, members)
}

// drawPort draws a port below the ones that systems use for outgoing connections, so that no other
// program gets it while the node is stopped.
func drawPort() int { return 20000 + rand.N(12000) }

func isTaken(err error) bool {
	return strings.Contains(err.Error(), "port is already allocated") ||
		strings.Contains(err.Error(), "address already in use")
}

func (n *Node) createAt(ctx context.Context, port int, o Options, members string) error {
	args := []string{
		"etcd", "--name=" + n.name,
		"--listen-client-urls=http://0.0.0.0:" + clientPort,
		"--advertise-client-urls=" + n.url(clientPort),
		"--listen-peer-urls=http://0.0.0.0:" + peerPort,
		"--initial-advertise-peer-urls=" + n.url(peerPort),
		"--initial-cluster=" + members,
	}
	inside := dockernetwork.MustParsePort(clientPort + "/tcp")
	ctr, err := testcontainers.Run(ctx, o.Image,
		testcontainers.WithExposedPorts(inside.String()),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = dockernetwork.PortMap{inside: {{HostPort: strconv.Itoa(port)}}}
		}),
		network.WithNetwork([]string{n.name}, n.cluster.network),
		testcontainers.WithCmd(append(args, o.Args...)...))
	atOnce := testcontainers.StopTimeout(0) // its data is not kept
	if err != nil {
		return errors.Join(err, testcontainers.TerminateContainer(ctr, atOnce))
	}
	n.container = ctr
	testcontainers.CleanupContainer(n.cluster.tb, ctr, atOnce)
	n.cluster.tb.Cleanup(n.printLog)
	host, err := ctr.Host(ctx)
	if err != nil {
		return err
	}
	n.endpoint = "http://" + net.JoinHostPort(host, strconv.Itoa(port))
	return nil
}

// healthy returns an error if the node is not healthy.
func (n *Node) healthy(ctx context.Context, client *gateway.Client) error {
	ctx, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	h, err := client.Member(n.endpoint).Health(ctx)
	if err == nil && !h.Healthy {
		err = fmt.Errorf("unhealthy: %s", h.Reason)
	}
	return err
}

// printLog prints the end of the node's log if the test has failed.
func (n *Node) printLog() {
	tb := n.cluster.tb
	if !tb.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log, err := n.container.Logs(ctx)
	if err != nil {
		tb.Logf("log of %s: %v", n.name, err)
		return
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	lines := bytes.SplitAfter(text, []byte("\n"))
	tb.Logf("log of %s: %v\n%s", n.name, err, bytes.Join(lines[max(0, len(lines)-logLines):], nil))
}
