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

// errPortTaken tells that a member ended since another program had its port.
var errPortTaken = errors.New("a port was taken by another program")

// A Member is one etcd server of a cluster. It keeps its ports, data and
// identity over restarts.
type Member struct {
	cluster    *Cluster
	name       string
	binary     string
	args       []string
	clientPort *ports.Port
	grpcPort   *ports.Port // nil: as clientPort
	peerPort   *ports.Port
	front      *faultproxy.PeerProxy // before the peer port; nil without PeerLinks
	id         uint64

	mu     sync.Mutex
	latest *childproc.Process // nil before the first start
}

// Name returns the member's name in the cluster, "m0" for the first.
func (m *Member) Name() string { return m.name }

// ID returns the member id etcd gave it.
func (m *Member) ID() uint64 { return m.id }

// Endpoint returns the URL of the member's gateway.
func (m *Member) Endpoint() string { return m.cluster.scheme() + m.clientPort.Addr() }

// GRPCEndpoint returns the member's client URL, which is that of the gateway
// unless Options.HTTPPort gives that a port of its own.
func (m *Member) GRPCEndpoint() string {
	if m.grpcPort == nil {
		return m.Endpoint()
	}
	return m.cluster.scheme() + m.grpcPort.Addr()
}

// PeerURL returns the URL the other members reach the member at.
func (m *Member) PeerURL() string {
	if m.front != nil {
		return "http://" + m.front.Addr()
	}
	return "http://" + m.peerPort.Addr()
}

// Addr returns the host and port of the member's client URL.
func (m *Member) Addr() string { return m.clientPort.Addr() }

// LogFile returns the path of the file with all the member wrote.
func (m *Member) LogFile() string { return filepath.Join(m.cluster.dir, m.name+".log") }

// Running reports whether the member's process exists; a frozen one does.
func (m *Member) Running() bool {
	p := m.process()
	return p != nil && !p.Gone()
}

// PID returns the id of the member's latest process.
func (m *Member) PID() int {
	if p := m.process(); p != nil {
		return p.PID()
	}
	return 0
}

// Kill ends the member as kill -9 does and waits until it is gone. Killing a
// member that is not running does nothing.
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

// Stop ends the member as SIGTERM does and waits until it is gone, or until ctx
// ends. Since etcd 3.5 a member with open streams serves them for 7 more
// seconds. A frozen member ends when it is resumed.
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

// Pause freezes the member with SIGSTOP: its connections stay open and nothing
// on them is answered.
func (m *Member) Pause() error { return m.freeze(syscall.SIGSTOP, "pause") }

// Resume lets a frozen member go on with SIGCONT.
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

// Launch starts a member that is not running and does not wait for it. It is
// what brings back a cluster without quorum, whose members become healthy only
// together.
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

// Restart stops the member with SIGTERM if it is running, starts it again on
// its data and ports, and waits until it is healthy.
func (m *Member) Restart(ctx context.Context) error {
	if err := m.Stop(ctx); err != nil {
		return err
	}
	if err := m.Launch(); err != nil {
		return err
	}
	return m.WaitHealthy(ctx)
}

// Upgrade ends the member in good order and starts the given version of etcd in its place, on its data. It waits until
// the member is healthy again.
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

// WaitHealthy waits until the member says that it is healthy, that is, until a
// linearizable read through it succeeds. It fails at once if the member's
// process ends.
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
			return fmt.Errorf("etcdproc: wait for %s: %w (%w)\n%s", m.name, context.Cause(ctx), err, m.LogTail(20))
		case <-time.After(probeInterval):
		}
	}
}

// healthy asks the member once whether it is.
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

// ended describes why a member that was waited for is gone.
func (m *Member) ended(p *childproc.Process) error {
	tail := m.LogTail(20)
	if strings.Contains(tail, "address already in use") {
		return fmt.Errorf("etcdproc: wait for %s: %w", m.name, errPortTaken)
	}
	return fmt.Errorf("etcdproc: wait for %s: process ended: %w\n%s", m.name, p.Err(), tail)
}

// LogTail returns the last lines the member wrote.
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

// release kills the member for good and gives its ports back.
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
		"--listen-client-urls", strings.Join(append([]string{m.GRPCEndpoint()}, o.ExtraClientURLs...), ","),
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
		args = append(args, "--heartbeat-interval", strconv.FormatInt(o.HeartbeatInterval.Milliseconds(), 10))
	}
	if o.ElectionTimeout > 0 {
		args = append(args, "--election-timeout", strconv.FormatInt(o.ElectionTimeout.Milliseconds(), 10))
	}
	if o.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync")
	}
	return append(args, o.ExtraArgs...)
}
