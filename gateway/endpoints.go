package gateway

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// endpoints records which members served last and which failed. One is used until it fails, because
// members are equal, and staying keeps connections warm.
type endpoints struct {
	mu   sync.Mutex
	list []*endpoint
	cur  int
}

type endpoint struct {
	url    string                 // as configured, for errors and views
	base   string                 // where requests are sent
	pages  string                 // where the pages beside the gateway are
	host   string                 // the Host of requests, if base has none
	prefix atomic.Pointer[string] // of the gateway's paths
	member atomic.Uint64          // the member that answered last; 0: none yet
	recent atomic.Bool            // it is known not to be too old
	fine   atomic.Bool            // the last request was answered: see since
	mode   atomic.Int32           // the mode of watches
	path   watchPath              // guarded by hub.mu
	scheme schemeCheck

	// Guarded by endpoints.mu.
	failedAt time.Time // zero: it never failed
	since    time.Time // when it began to serve, or to fail
	err      error     // the last failure
}

func newEndpoint(url, prefix string) *endpoint {
	if prefix == "" {
		prefix = defaultPrefix
	}
	ep := &endpoint{url: url, base: baseURL(url), scheme: schemeCheck{turn: make(chan struct{}, 1)}}
	ep.pages = ep.base + strings.TrimSuffix(path.Dir(prefix), "/")
	if scheme(url) == unixScheme {
		ep.host = "localhost"
	}
	ep.prefix.Store(&prefix)
	return ep
}

func newEndpoints(urls []string, prefix string) *endpoints {
	e := &endpoints{cur: rand.IntN(len(urls))} // spreads many clients over the members
	for _, u := range urls {
		e.list = append(e.list, newEndpoint(u, prefix))
	}
	return e
}

func (e *endpoints) pick() *endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list[e.cur]
}

// pickOther is pick for a second opinion: it avoids an endpoint if there is another.
func (e *endpoints) pickOther(avoid *endpoint) *endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.list[e.cur] == avoid {
		return e.list[e.next()]
	}
	return e.list[e.cur]
}

// next returns, of the endpoints after the one in use, the one whose last failure is oldest.
func (e *endpoints) next() int {
	best := (e.cur + 1) % len(e.list)
	for i := 2; i < len(e.list); i++ {
		k := (e.cur + i) % len(e.list)
		if e.list[k].failedAt.Before(e.list[best].failedAt) {
			best = k
		}
	}
	return best
}

func (e *endpoints) size() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.list)
}

// all returns the endpoints, the one in use first.
func (e *endpoints) all() []*endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.list[e.cur:], e.list[:e.cur])
}

// inOrder returns the endpoints as they were configured.
func (e *endpoints) inOrder() []*endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// find returns the endpoint of a URL, or nil.
func (e *endpoints) find(url string) *endpoint {
	for _, ep := range e.all() {
		if ep.url == url {
			return ep
		}
	}
	return nil
}

// covered reports whether a map has every endpoint among its keys.
func covered[V any](e *endpoints, m map[*endpoint]V) bool {
	for _, ep := range e.all() {
		if _, ok := m[ep]; !ok {
			return false
		}
	}
	return true
}

// replaceOld replaces the endpoints if they still are the old ones. See replace.
func (e *endpoints) replaceOld(old, list []*endpoint) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.list, old) {
		return false
	}
	e.replace(list)
	return true
}

// replace sets the endpoints, at least one. The one in use stays in use if it is still there. The
// caller holds mu.
func (e *endpoints) replace(list []*endpoint) {
	cur := slices.Index(list, e.list[e.cur])
	if cur < 0 {
		cur = rand.IntN(len(list))
	}
	e.list, e.cur = list, cur
}

// set replaces the endpoints by URL. It returns the endpoints that were removed.
func (e *endpoints) set(urls []string, prefix string) (gone []*endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gone = slices.Clone(e.list)
	list := make([]*endpoint, len(urls))
	for i, url := range urls {
		if k := slices.IndexFunc(gone, func(ep *endpoint) bool { return ep.url == url }); k >= 0 {
			list[i] = gone[k]
			gone = slices.Delete(gone, k, k+1)
			continue
		}
		list[i] = newEndpoint(url, prefix)
	}
	e.replace(list)
	return gone
}

// failed moves to the endpoint whose last failure is oldest. Late reports of the same failure, from
// requests that ran in parallel, do not move it again.
func (e *endpoints) failed(ep *endpoint, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ep.failedAt = time.Now()
	if ep.fine.Swap(false) || ep.since.IsZero() {
		ep.since = ep.failedAt
	}
	ep.err = err
	if e.list[e.cur] != ep {
		return
	}
	e.cur = e.next()
}

// served records that an endpoint answered well.
func (e *endpoints) served(ep *endpoint) {
	if ep.fine.Load() {
		return // nearly always: no lock for it
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ep.fine.Swap(true) {
		ep.since = time.Now()
	}
}

// EndpointState is the state of an endpoint as the client's own requests have shown it.
type EndpointState struct {
	URL string
	// MemberID is the member that answered there last; 0 if none has.
	MemberID uint64
	// InUse says that the next request is sent there first.
	InUse bool
	// Healthy says that it answered the last request as a working member does. It is false, with a
	// zero Since, for an endpoint that was not needed yet.
	Healthy bool
	// Since is when Healthy last changed.
	Since time.Time
	// Err is the last failure, FailedAt its time. They are kept when the endpoint serves again.
	Err      error
	FailedAt time.Time
	// WatchMode is how watches reach the endpoint, as the client's own watches have shown it.
	WatchMode WatchMode
}

// Endpoints returns the state of each endpoint, in the order of the configuration and then of
// [Client.Sync]. It sends nothing; [MemberClient.Health] and [MemberClient.Status] ask the member.
func (c *Client) Endpoints() []EndpointState {
	e := c.eps
	e.mu.Lock()
	defer e.mu.Unlock()
	states := make([]EndpointState, len(e.list))
	for i, ep := range e.list {
		states[i] = EndpointState{
			URL: ep.url, MemberID: ep.member.Load(), InUse: i == e.cur,
			Healthy: ep.fine.Load(), Since: ep.since, Err: ep.err, FailedAt: ep.failedAt,
			WatchMode: mode(ep.mode.Load()).public(),
		}
	}
	return states
}
