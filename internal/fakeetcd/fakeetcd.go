// Package fakeetcd is a small etcd in memory, for tests of sessions and lines under fake time and
// with faulty servers.
//
// # Usage
//
// [Start] runs a real http.Server on a memnet listener, with leases, transactions and watches. A
// test can make it slow, silent, broken or frozen. Tests run it inside a testing/synctest bubble.
//
// # Limitations
//
// It implements only the calls that sessions and recipes make. It does not show how etcd behaves,
// which tests against the real etcd check.
//
// # Concurrency
//
// The methods of [Server] are safe for concurrent use. A [Call] belongs to the script that received
// it.
package fakeetcd

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// Server is an etcd. Its methods are safe for concurrent use.
type Server struct {
	l    *memnet.Listener
	http *http.Server

	mu        sync.Mutex
	store     store
	streams   map[*stream]struct{}
	calls     int
	progress  int // requests for it
	sent      int // events
	script    func(*Call) Answer
	frozen    chan struct{} // closed by Thaw; nil if not frozen
	dead      bool
	noWatches bool
	full      bool

	compacting bool // new watches end at once
	denying    bool // new watches are refused

	turn sync.Mutex // held by the running script
}

// Answer is the response to a call. The zero Answer closes the connection without a response.
type Answer struct {
	Status int
	Body   []byte
}

// Lost closes the connection without a response.
var Lost = Answer{}

// Error returns the response with which etcd reports an error.
func Error(code gateway.Code, message string) Answer {
	body, _ := json.Marshal(map[string]any{"code": code, "message": message}) // cannot fail
	return Answer{http.StatusBadRequest, body}
}

// Denied returns the response to a user without permission.
func Denied() Answer { return Error(gateway.CodePermissionDenied, "etcdserver: permission denied") }

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
	s := &Server{l: memnet.Listen(), streams: map[*stream]struct{}{}, store: newStore()}
	s.http = &http.Server{
		Handler:  http.HandlerFunc(s.serve),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = s.http.Serve(s.l) }()
	tb.Cleanup(func() {
		s.mu.Lock()
		s.dead = true
		for _, l := range s.store.leases {
			l.timer.Stop()
		}
		s.mu.Unlock()
		s.Thaw()
		if err := s.http.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Client returns a client of the server. It is closed at the end of the test.
func (s *Server) Client(tb testing.TB) *gateway.Client {
	tb.Helper()
	c, err := gateway.New(gateway.Config{
		Endpoints: []string{"http://etcd:2379"}, DialContext: s.l.Dial,
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

// ClientSeen is [Server.Client] with a function that sees each request before it is sent.
func (s *Server) ClientSeen(tb testing.TB, see func(*http.Request)) *gateway.Client {
	tb.Helper()
	rt := &http.Transport{DialContext: s.l.Dial}
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

// Script makes fn answer all calls except watches, until the next Script. If fn is nil, the server
// answers them normally. Calls of fn do not overlap, except during [Call.Sleep] and [Call.Silence].
func (s *Server) Script(fn func(*Call) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = fn
	s.calls = 0
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

// Call is one request.
type Call struct {
	N    int    // number of the call since the last Script, from 1
	Path string // "/kv/txn", …
	Body []byte

	s    *Server
	done <-chan struct{}
}

// Apply applies the call and returns the response. Each further call of Apply applies it again.
func (c *Call) Apply() Answer { return c.s.apply(c.Path, c.Body) }

// Silence waits until the caller has left, and returns [Lost].
func (c *Call) Silence() Answer {
	c.s.turn.Unlock()
	defer c.s.turn.Lock()
	<-c.done
	return Lost
}

// Sleep waits for d. Other calls of the script can run during the wait.
func (c *Call) Sleep(d time.Duration) {
	c.s.turn.Unlock()
	defer c.s.turn.Lock()
	time.Sleep(d) //nolint:forbidigo // in a bubble
}

// IsTxn reports whether the call is a transaction with the text in one of its keys or values.
func (c *Call) IsTxn(text string) bool { return c.Path == "/kv/txn" && mentions(c.Body, text) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v3")
	switch {
	case r.URL.Path == "/version":
		_, _ = io.WriteString(w, `{"etcdserver":"3.6.0"}`)
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
	call := &Call{N: s.calls, Path: path, Body: body, s: s, done: r.Context().Done()}
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

func (s *Server) run(script func(*Call) Answer, call *Call) Answer {
	if script == nil {
		return call.Apply()
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	return script(call)
}

// Expiry returns the time at which a lease expired or was revoked, or the zero time.
func (s *Server) Expiry(id gateway.LeaseID) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.expired[int64(id)]
}

// Get returns a key. ok is false if the key does not exist.
func (s *Server) Get(key string) (kv gateway.KeyValue, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.store.kvs[key]
	if !ok {
		return gateway.KeyValue{}, false
	}
	return gateway.KeyValue{
		Key: key, Value: o.Value,
		CreateRevision: o.Create, ModRevision: o.Mod, Version: o.Version,
		Lease: gateway.LeaseID(o.Lease),
	}, true
}

// Keys returns the keys with a prefix, in order.
func (s *Server) Keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, o := range s.store.find(prefix, gatewayEnd(prefix)) {
		keys = append(keys, string(o.Key))
	}
	return keys
}

// Put puts a key without a lease, like an operator.
func (s *Server) Put(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.put(&putRequest{Key: []byte(key), Value: []byte(value)})
	s.commit(t)
}

// Delete deletes a key, like an operator.
func (s *Server) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.delete(&deleteRequest{Key: []byte(key)})
	s.commit(t)
}

// Revoke revokes a lease and deletes its keys.
func (s *Server) Revoke(id gateway.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke(int64(id))
}

// Compact compacts the history up to the current revision.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.compacted = s.store.rev
}

// Revision returns the current revision.
func (s *Server) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.rev
}

// Leases returns the number of live leases.
func (s *Server) Leases() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.store.leases)
}

// Touch puts a key again with its value and lease. The key must exist.
func (s *Server) Touch(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.store.kvs[key]
	t := s.store.begin()
	t.put(&putRequest{Key: o.Key, Value: o.Value, Lease: o.Lease})
	s.commit(t)
}
