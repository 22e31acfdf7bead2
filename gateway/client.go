package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Client is a client of one etcd cluster. It is safe for concurrent use; one is enough for a
// process.
type Client struct {
	// cfg is behind a pointer, as all that holds secrets, so that a printed Client does not show
	// them.
	cfg    *Config
	rt     http.RoundTripper
	own    *http.Transport // nil when the caller brought a transport
	http10 *http.Transport // for finite streams; nil likewise
	dial   dialFunc        // of own
	eps    *endpoints
	auth   *auth
	hub    *hub
	keep   *keeper
	slots  chan struct{} // one for each call under way
	pace   pace

	notes  *notes
	outage outage
	log    *slog.Logger
	ctx    context.Context //nolint:containedctx // the life of the client itself: Close ends it
	close  context.CancelCauseFunc

	cluster  atomic.Uint64 // identity of the cluster, once known
	revision atomic.Int64  // the highest revision that any answer has shown

	watchBuffer int

	// badFiles is why TLS files are not used, a string, as it was logged last.
	badFiles atomic.Value
	syncing  chan struct{} // held by the one Sync in flight

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// New returns a client. It validates the configuration and does no I/O: an unreachable cluster is
// reported by the first request. Returns ErrInvalid when the configuration cannot be right.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: &cfg, rt: cfg.Transport, eps: newEndpoints(cfg.Endpoints, cfg.APIPrefix),
		log: cfg.Logger, watchBuffer: watchBuffer,
	}
	c.ctx, c.close = context.WithCancelCause(context.Background())
	if c.rt == nil {
		c.own = c.ownTransport()
		c.rt = c.own
		c.http10 = ownHTTP10(c.own)
	}
	c.auth = &auth{c: c, turn: make(chan struct{}, 1)}
	c.outage.c = c
	c.slots = make(chan struct{}, maxInFlight)
	c.syncing = make(chan struct{}, 1)
	c.hub = newHub(c)
	c.keep = newKeeper(c)
	c.notes = &notes{}
	return c, nil
}

// String returns the endpoints. Fields, which hold secrets, are not printed.
func (c *Client) String() string {
	var urls []string
	for _, ep := range c.eps.inOrder() {
		urls = append(urls, ep.url)
	}
	return "etcd client of " + strings.Join(urls, ",")
}

// Close ends every request, watch and renewal with ErrClosed, waits for the client's goroutines,
// and closes its connections. It returns nil and does not wait for the network. Close sessions
// before. It may be called again, and concurrently.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.close(ErrClosed)
	c.wg.Wait()
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	return nil
}

// spawn runs fn in a goroutine that Close waits for. It reports false when the client is closed.
func (c *Client) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(fn)
	return true
}

// saw checks and records the header of an answer. floor is the revision known before the request
// was sent: a linearizable answer must not be below it.
func (c *Client) saw(h etcdjson.Header, floor int64, linear bool) error {
	id := uint64(h.ClusterID)
	if id != 0 && !c.cluster.CompareAndSwap(0, id) && c.cluster.Load() != id {
		return ErrClusterMismatch
	}
	rev := int64(h.Revision)
	if linear && rev < floor {
		return ErrRevisionRegressed
	}
	for {
		old := c.revision.Load()
		if rev <= old || c.revision.CompareAndSwap(old, rev) {
			return nil
		}
	}
}
