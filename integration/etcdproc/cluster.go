package etcdproc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

const (
	// patience bounds a wait whose context has no deadline. It is far longer than any operation of
	// a healthy cluster takes.
	patience = time.Minute
	// probeTimeout bounds one request to a member, which may be frozen.
	probeTimeout = time.Second
	// probeInterval is the pause between two checks of a condition.
	probeInterval = 20 * time.Millisecond
)

// A Cluster is a set of etcd members that run as child processes. Its methods and the methods of
// its members are safe for concurrent use, except Member.Join and Member.Upgrade, which no other
// call on the same member may overlap. Methods that wait return an error after a minute if their
// context has no deadline.
type Cluster struct {
	options Options
	dir     string
	ownsDir bool
	pki     *PKI // nil without TLS
	members []*Member
	given   []string  // endpoints that Given got; then there are no members
	spares  []*Member // made by Spare; guarded by mu
	mu      sync.Mutex
	probe   *http.Client
	status  *clientv3.Client // for Leader

	closing  sync.Once
	closeErr error
}

// Given returns a Cluster for servers that this package does not run. It has endpoints and clients,
// but no members.
func Given(endpoints ...string) *Cluster { return &Cluster{given: endpoints} }

// Start starts a cluster and waits until every member is healthy. The caller closes it. Nil options
// mean the zero value. Start returns ErrNotInstalled if Binary does, and an error if the options
// are not valid, a member does not become healthy, or ctx ends first. The end of ctx after Start
// has returned does not end the cluster.
func Start(ctx context.Context, options *Options) (*Cluster, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var o Options
	if options != nil {
		o = *options
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("etcdproc: start: %w", err)
	}
	binary, err := Binary(o.Version)
	if err != nil {
		return nil, err
	}
	const attempts = 3
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, o, binary)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, errPortTaken) || attempt == attempts {
			return nil, fmt.Errorf("etcdproc: start etcd %s: %w", o.Version, err)
		}
	}
}

func start(ctx context.Context, o Options, binary string) (_ *Cluster, err error) {
	c := &Cluster{options: o, dir: o.Dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "holdfast-etcd-"); err != nil {
			return nil, err
		}
		c.ownsDir = true
	}
	if o.TLS {
		if c.pki, err = NewPKI(filepath.Join(c.dir, "tls"), o.ServerCommonName); err != nil {
			return nil, err
		}
		if o.ServerAuthOnly {
			if err = c.pki.serverAuthOnly(o.ServerCommonName); err != nil {
				return nil, err
			}
		}
	}
	c.probe = &http.Client{
		Timeout:   probeTimeout,
		Transport: &http.Transport{TLSClientConfig: c.TLSConfig(), DisableKeepAlives: true},
	}
	if err := c.addMembers(binary); err != nil {
		return nil, err
	}
	for _, m := range c.members {
		if err := m.Launch(); err != nil {
			return nil, err
		}
	}
	if err := c.WaitHealthy(ctx); err != nil {
		return nil, err
	}
	if err := c.identify(ctx); err != nil {
		return nil, err
	}
	if o.RootPassword != "" {
		if err := c.enableAuth(ctx); err != nil {
			return nil, fmt.Errorf("turn authentication on: %w", err)
		}
	}
	if c.status, err = c.NewClientV3(); err != nil {
		return nil, err
	}
	return c, nil
}

// addMembers reserves the ports of all members and determines their command lines.
func (c *Cluster) addMembers(binary string) error {
	var initial []string
	for i := range c.options.Members {
		m := &Member{cluster: c, name: fmt.Sprintf("m%d", i), binary: binary}
		c.members = append(c.members, m)
		if err := m.reserve(); err != nil {
			return err
		}
		if c.options.PeerLinks {
			var err error
			if m.front, err = faultproxy.NewPeer(m.peerPort.Addr()); err != nil {
				return err
			}
		}
		initial = append(initial, m.name+"="+m.PeerURL())
	}
	for i, m := range c.members {
		if err := os.RemoveAll(m.dataDir()); err != nil {
			return err
		}
		m.args = m.commandLine(strings.Join(initial, ","))
		if own := c.options.ElectionTimeouts; own != nil {
			m.args = append(m.args, "--election-timeout", strconv.FormatInt(own[i].Milliseconds(),
				10))
		}
	}
	return nil
}

func (c *Cluster) scheme() string {
	if c.options.TLS {
		return "https://"
	}
	return "http://"
}

// Version returns the etcd version of the cluster, such as "3.6".
func (c *Cluster) Version() string { return c.options.Version }

// Members returns the members in the order in which they were started.
func (c *Cluster) Members() []*Member { return append([]*Member(nil), c.members...) }

// Member returns the member at index i. It panics if there is none.
func (c *Cluster) Member(i int) *Member { return c.members[i] }

// Endpoints returns the client URLs of all members.
func (c *Cluster) Endpoints() []string {
	if c.given != nil {
		return c.given
	}
	var urls []string
	for _, m := range c.members {
		urls = append(urls, m.Endpoint())
	}
	return urls
}

// PKI returns the certificates of the cluster, or nil if it does not use TLS.
func (c *Cluster) PKI() *PKI { return c.pki }

// TLSConfig returns the configuration of a client that trusts the cluster. If the cluster requires
// a client certificate, the configuration has one without a common name. It is nil if the cluster
// does not use TLS.
func (c *Cluster) TLSConfig() *tls.Config {
	switch {
	case c.pki == nil:
		return nil
	case c.options.ClientCertAuth:
		return c.pki.ClientTLS("")
	default:
		return c.pki.TrustTLS()
	}
}

// WaitHealthy waits until every member is healthy. It returns an error if Member.WaitHealthy does.
func (c *Cluster) WaitHealthy(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for _, m := range c.members {
		if err := m.WaitHealthy(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close kills all members, spares too, and waits until they have ended. Later calls return the same
// error.
func (c *Cluster) Close() error {
	c.closing.Do(func() {
		var errs []error
		if c.status != nil {
			errs = append(errs, c.status.Close())
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, m := range append(c.Members(), c.spares...) {
			errs = append(errs, m.release())
		}
		if c.ownsDir {
			errs = append(errs, os.RemoveAll(c.dir))
		}
		if err := errors.Join(errs...); err != nil {
			c.closeErr = fmt.Errorf("etcdproc: close: %w", err)
		}
	})
	return c.closeErr
}

// bounded adds a deadline to a context that has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}
