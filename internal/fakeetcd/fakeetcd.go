// Package fakeetcd is an etcd in memory: the engine of package holdfasttest, with more faults for
// the tests of this repository.
//
// # Usage
//
// [Start] runs a real http.Server on a memnet listener. A test can make it slow, silent, broken or
// frozen. Tests run it inside a testing/synctest bubble. [Server.Script] decides about each
// request.
//
// # Limitations
//
// It implements only the calls about keys, watches and leases, and the part of authentication that
// they need. integration/holdfasttest compares these with a real etcd 3.6.
//
// # Concurrency
//
// The methods of [Server] are safe for concurrent use. A [Call] belongs to the script that received
// it.
package fakeetcd

import (
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// The IDs in the headers.
const (
	firstCluster = 1
	member       = 1
	term         = 2
)

// Server is an etcd. Its methods are safe for concurrent use.
type Server struct {
	closed chan struct{}

	mu        sync.Mutex
	l         *memnet.Listener
	http      *http.Server
	down      bool
	muted     chan struct{} // closed when streams are no longer muted; nil if they are not
	store     store
	auth      auth
	streams   map[*stream]struct{}
	calls     int
	progress  int // requests for it
	sent      int // events
	script    func(*Call) Answer
	frozen    chan struct{} // closed by Thaw; nil if not frozen
	dead      bool
	noWatches bool
	full      bool
	cluster   uint64 // the ID in the headers

	compacting bool // new watches end at once
	denying    bool // new watches are refused

	turn sync.Mutex // held by the running script
}

// New returns a server that runs until [Server.Close].
func New() *Server {
	s := &Server{
		streams: map[*stream]struct{}{}, store: newStore(), cluster: firstCluster,
		closed: make(chan struct{}),
	}
	s.listen()
	return s
}

// Close stops the server, its streams and the timers of its leases.
func (s *Server) Close() error {
	s.mu.Lock()
	s.dead = true
	s.stopLeases()
	server := s.http
	s.mu.Unlock()
	close(s.closed)
	s.Thaw()
	s.Mute(false)
	return server.Close()
}

// tooLong is longer than any test takes in fake time.
const tooLong = time.Hour

// Start runs a server until the end of the test. After an hour of fake time it ends the program
// with a panic that shows all goroutines. Without that, a test that hangs would never end, because
// the renewals of its sessions keep the fake clock running.
func Start(tb testing.TB) *Server {
	tb.Helper()
	endless := time.AfterFunc(tooLong, func() {
		debug.SetTraceback("all")
		panic(tb.Name() + " waits for what does not come")
	})
	tb.Cleanup(func() { endless.Stop() })
	s := New()
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Config returns the settings of a client of the server.
func (s *Server) Config() gateway.Config {
	return gateway.Config{Endpoints: []string{"http://etcd:2379"}, DialContext: s.dial}
}

// Client returns a client of the server. It is closed at the end of the test.
func (s *Server) Client(tb testing.TB) *gateway.Client {
	tb.Helper()
	c, err := gateway.New(s.Config())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// ClientSeen is [Server.Client] with a function that sees each request before it is sent.
func (s *Server) ClientSeen(tb testing.TB, see func(*http.Request)) *gateway.Client {
	tb.Helper()
	rt := &http.Transport{DialContext: s.dial}
	tb.Cleanup(rt.CloseIdleConnections)
	c, err := gateway.New(gateway.Config{
		Endpoints: []string{"http://etcd:2379"}, Transport: seen{rt, see},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

type seen struct {
	*http.Transport
	see func(*http.Request)
}

func (s seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.see(r)
	return s.Transport.RoundTrip(r)
}

// Freeze stops the server like SIGSTOP. It accepts requests, but handles them only after
// [Server.Thaw], even if their callers have left. Leases still expire, as if another member of the
// cluster revoked them.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen == nil {
		s.frozen = make(chan struct{})
	}
}

// Thaw ends [Server.Freeze]. It has no effect if the server is not frozen.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
		s.frozen = nil
	}
}

// gate waits while the server is frozen, and reports whether the server is still running.
func (s *Server) gate() bool {
	for {
		s.mu.Lock()
		frozen, dead := s.frozen, s.dead
		s.mu.Unlock()
		if frozen == nil || dead {
			return !dead
		}
		<-frozen
	}
}

// ServeHTTP answers a request, so that the server can also run on a listener of httptest.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v3")
	switch {
	case s.isDown():
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/version":
		_, _ = io.WriteString(w, `{"etcdserver":"3.6.0","etcdcluster":"3.6.0"}`)
		return
	case r.URL.Path == "/health":
		_, _ = io.WriteString(w, `{"health":"true","reason":""}`)
		return
	case !ok:
		http.NotFound(w, r)
		return
	case path == "/watch":
		s.serveWatch(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !s.gate() {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	s.calls++
	call := &Call{
		N: s.calls, Path: path, Body: body, s: s,
		token: r.Header.Get("Authorization"), done: r.Context().Done(),
	}
	script := s.script
	s.mu.Unlock()
	a := s.run(script, call)
	if a.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}
