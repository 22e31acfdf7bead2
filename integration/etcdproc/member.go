package etcdproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/internal/childproc"
	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

// errPortTaken means that a member ended because another program had its port.
var errPortTaken = errors.New("a port was taken by another program")

// A Member is one etcd server of a cluster. It keeps its ports, data and identity across restarts.
// Cluster describes concurrent use.
type Member struct {
	cluster    *Cluster
	name       string
	binary     string
	args       []string
	clientPort *ports.Port
	grpcPort   *ports.Port // nil if clientPort serves gRPC too
	peerPort   *ports.Port
	front      *faultproxy.PeerProxy // in place of the peer port; nil without PeerLinks
	id         uint64

	mu     sync.Mutex
	latest *childproc.Process // nil before the first start
}

// Name returns the member's name in the cluster, "m0" for the first.
func (m *Member) Name() string { return m.name }

// ID returns the member id that etcd assigned. It is 0 for a spare.
func (m *Member) ID() uint64 { return m.id }

// Endpoint returns the URL of the member's gateway.
func (m *Member) Endpoint() string { return m.cluster.scheme() + m.clientPort.Addr() }

// GRPCEndpoint returns the member's client URL. It equals Endpoint unless Options.HTTPPort is set.
func (m *Member) GRPCEndpoint() string {
	if m.grpcPort == nil {
		return m.Endpoint()
	}
	return m.cluster.scheme() + m.grpcPort.Addr()
}

// PeerURL returns the URL at which the other members reach the member.
func (m *Member) PeerURL() string {
	if m.front != nil {
		return "http://" + m.front.Addr()
	}
	return "http://" + m.peerPort.Addr()
}

// Addr returns the host and port of Endpoint.
func (m *Member) Addr() string { return m.clientPort.Addr() }

// LogFile returns the path of the file with the whole output of the member.
func (m *Member) LogFile() string { return filepath.Join(m.cluster.dir, m.name+".log") }

// Running reports whether the member's process exists, also when it is frozen.
func (m *Member) Running() bool {
	p := m.process()
	return p != nil && !p.Gone()
}

// PID returns the id of the member's latest process, or 0 before the first start.
func (m *Member) PID() int {
	if p := m.process(); p != nil {
		return p.PID()
	}
	return 0
}

// Kill ends the member with SIGKILL and waits until it has ended. It does nothing if the member is
// not running. It returns an error if the signal cannot be sent.
func (m *Member) Kill() error {
	p := m.process()
	if p == nil {
		return nil
	}
	if err := p.Kill(); err != nil {
		return fmt.Errorf("etcdproc: kill %s: %w", m.name, err)
	}
	return nil
}

// Stop sends SIGTERM and waits until the member has ended. It returns an error if ctx ends before
// that. Since etcd 3.5 a member with open streams serves them for 7 more seconds. A frozen member
// ends after Resume. Stop does nothing if the member is not running.
func (m *Member) Stop(ctx context.Context) error {
	p := m.process()
	if p == nil {
		return nil
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("etcdproc: stop %s: %w", m.name, err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	select {
	case <-p.Exited():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("etcdproc: stop %s: %w", m.name, context.Cause(ctx))
	}
}

// Pause freezes the member with SIGSTOP: its connections stay open, and it answers nothing on them.
// It returns an error if the member is not running.
func (m *Member) Pause() error { return m.freeze(syscall.SIGSTOP, "pause") }

// Resume continues a frozen member with SIGCONT. It returns an error if the member is not running.
func (m *Member) Resume() error { return m.freeze(syscall.SIGCONT, "resume") }

func (m *Member) freeze(s syscall.Signal, verb string) error {
	p := m.process()
	if p == nil || p.Gone() {
		return fmt.Errorf("etcdproc: %s %s: not running", verb, m.name)
	}
	if err := p.Signal(s); err != nil {
		return fmt.Errorf("etcdproc: %s %s: %w", verb, m.name, err)
	}
	return nil
}

// Launch starts a member that is not running, on its data and ports, and does not wait until it is
// healthy. Use it to restart a cluster without quorum, because its members become healthy only
// together. Launch returns an error if the member is running or the program cannot be started.
func (m *Member) Launch() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest != nil && !m.latest.Gone() {
		return fmt.Errorf("etcdproc: launch %s: already running", m.name)
	}
	p, err := childproc.Start(m.binary, m.args, m.LogFile())
	if err != nil {
		return fmt.Errorf("etcdproc: launch %s: %w", m.name, err)
	}
	m.latest = p
	return nil
}

// Restart stops the member with SIGTERM if it is running, starts it again on its data and ports,
// and waits until it is healthy. It returns the errors of Stop, Launch and WaitHealthy.
func (m *Member) Restart(ctx context.Context) error {
	if err := m.Stop(ctx); err != nil {
		return err
	}
	if err := m.Launch(); err != nil {
		return err
	}
	return m.WaitHealthy(ctx)
}

// Upgrade stops the member with SIGTERM, starts the given version of etcd on its data, and waits
// until it is healthy. It returns the errors of Binary and Restart.
func (m *Member) Upgrade(ctx context.Context, version string) error {
	binary, err := Binary(version)
	if err != nil {
		return err
	}
	if err := m.Stop(ctx); err != nil {
		return err
	}
	m.binary = binary
	return m.Restart(ctx)
}

// WaitHealthy waits until a linearizable read through the member succeeds. It returns an error if
// the member's process ends, or ctx ends, before that.
func (m *Member) WaitHealthy(ctx context.Context) error {
	p := m.process()
	if p == nil {
		return fmt.Errorf("etcdproc: wait for %s: not running", m.name)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	for {
		err := m.healthy(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Exited():
			return m.ended(p)
		case <-ctx.Done():
			return fmt.Errorf("etcdproc: wait for %s: %w (%w)\n%s", m.name, context.Cause(ctx), err,
				m.LogTail(20))
		case <-time.After(probeInterval):
		}
	}
}

// healthy sends one request for the member's health. It returns an error if the member is not
// healthy.
func (m *Member) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Endpoint()+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := m.cluster.probe.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"health":"true"`) {
		return fmt.Errorf("unhealthy: %s %s", resp.Status, body)
	}
	return nil
}

// ended returns an error with the reason for which the process ended.
func (m *Member) ended(p *childproc.Process) error {
	tail := m.LogTail(20)
	if strings.Contains(tail, "address already in use") {
		return fmt.Errorf("etcdproc: wait for %s: %w", m.name, errPortTaken)
	}
	return fmt.Errorf("etcdproc: wait for %s: process ended: %w\n%s", m.name, p.Err(), tail)
}

// LogTail returns the last lines of the member's output, or the text of the error if the file
// cannot be read.
func (m *Member) LogTail(lines int) string {
	data, err := os.ReadFile(m.LogFile())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (m *Member) process() *childproc.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

// release kills the member, closes its proxy and releases its ports.
func (m *Member) release() error {
	errs := []error{m.Kill()}
	if m.front != nil {
		errs = append(errs, m.front.Close())
	}
	for _, p := range []*ports.Port{m.clientPort, m.grpcPort, m.peerPort} {
		if p != nil {
			errs = append(errs, p.Release())
		}
	}
	return errors.Join(errs...)
}

func (m *Member) dataDir() string { return filepath.Join(m.cluster.dir, m.name+".data") }

// commandLine returns the arguments of the member's program.
func (m *Member) commandLine(initialCluster string) []string {
	o := m.cluster.options
	args := []string{
		"--name", m.name,
		"--data-dir", m.dataDir(),
		"--listen-client-urls",
		strings.Join(append([]string{m.GRPCEndpoint()}, o.ExtraClientURLs...), ","),
		"--advertise-client-urls", m.GRPCEndpoint(),
		"--listen-peer-urls", "http://" + m.peerPort.Addr(),
		"--initial-advertise-peer-urls", m.PeerURL(),
		"--initial-cluster", initialCluster,
		"--logger", "zap",
	}
	if m.grpcPort != nil {
		args = append(args, "--listen-client-http-urls", m.Endpoint())
	}
	if pki := m.cluster.pki; pki != nil {
		args = append(args, "--cert-file", pki.ServerCertFile, "--key-file", pki.ServerKeyFile)
		if o.ClientCertAuth {
			args = append(args, "--client-cert-auth", "--trusted-ca-file", pki.CAFile)
		}
	}
	if o.AuthTokenTTL > 0 {
		args = append(args, "--auth-token-ttl", strconv.Itoa(int(o.AuthTokenTTL/time.Second)))
	}
	if o.HeartbeatInterval > 0 {
		args = append(args, "--heartbeat-interval",
			strconv.FormatInt(o.HeartbeatInterval.Milliseconds(), 10))
	}
	if o.ElectionTimeout > 0 {
		args = append(args, "--election-timeout",
			strconv.FormatInt(o.ElectionTimeout.Milliseconds(), 10))
	}
	if o.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync")
	}
	return append(args, o.ExtraArgs...)
}
