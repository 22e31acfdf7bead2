// Package fakeetcd is a small etcd in memory, for tests of what time and bad servers do to sessions: a real
// http.Server on a memnet listener, with leases, transactions and watches, that can be told to be slow, silent, broken
// or frozen. It must run inside a testing/synctest bubble. It knows what sessions and lines need, no more; whether that
// is how etcd behaves is tested against the real one.
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

// Server is the etcd. Its methods may be called from anywhere.
type Server struct {
	l    *memnet.Listener
	http *http.Server

	mu        sync.Mutex
	store     store
	streams   map[*stream]struct{}
	calls     int
	script    func(*Call) Answer
	frozen    chan struct{} // closed by Thaw; nil if not frozen
	dead      bool
	noWatches bool
	full      bool

	compacting bool // new watches end at once

	turn sync.Mutex // held by the script that runs
}

// Answer is what a call is answered with. The zero Answer breaks the connection.
type Answer struct {
	Status int
	Body   []byte
}

// Lost breaks the connection instead of an answer.
var Lost = Answer{}

// Error is etcd's answer of an error.
func Error(code gateway.Code, message string) Answer {
	body, _ := json.Marshal(map[string]any{"code": code, "message": message}) // cannot fail
	return Answer{http.StatusBadRequest, body}
}

// Denied is the answer to a user without rights.
func Denied() Answer { return Error(gateway.CodePermissionDenied, "etcdserver: permission denied") }

// tooLong is more than any test takes, in the time of its bubble.
const tooLong = time.Hour

// Start runs a server until the end of the test. A test that waits for what never comes would not end, since the renewals of
// any session keep the fake clock running: after an hour of it, Start ends the program and shows all goroutines.
func Start(tb testing.TB) *Server {
	tb.Helper()
	endless := time.AfterFunc(tooLong, func() {
		debug.SetTraceback("all")
		panic(tb.Name() + " waits for what does not come")
	})
	tb.Cleanup(func() { endless.Stop() })
	s := &Server{l: memnet.Listen(), streams: map[*stream]struct{}{}, store: newStore()}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
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

// Client makes a client that is closed at the end of the test.
func (s *Server) Client(tb testing.TB) *gateway.Client {
	tb.Helper()
	c, err := gateway.New(gateway.Config{Endpoints: []string{"http://etcd:2379"}, DialContext: s.l.Dial})
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

// Script lets fn decide about every call but those of watches, until the next Script; nil serves all. Calls of fn do not
// overlap, save where it waits by [Call.Sleep] and [Call.Silence].
func (s *Server) Script(fn func(*Call) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = fn
	s.calls = 0
}

// Freeze stops the server as SIGSTOP does: it takes requests and handles them when it goes on, whether or not anybody
// still waits for the answer. Leases expire all the same, as if another member did it.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen == nil {
		s.frozen = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
		s.frozen = nil
	}
}

// gate waits while the server is frozen, and reports whether it is still to do anything.
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
	N    int    // from 1, since Script
	Path string // "/kv/txn", …
	Body []byte

	s    *Server
	done <-chan struct{}
}

// Apply handles the call, now, and may be called again.
func (c *Call) Apply() Answer { return c.s.apply(c.Path, c.Body) }

// Silence waits until the caller has gone.
func (c *Call) Silence() Answer {
	c.s.turn.Unlock()
	defer c.s.turn.Lock()
	<-c.done
	return Lost
}

// Sleep waits.
func (c *Call) Sleep(d time.Duration) {
	c.s.turn.Unlock()
	defer c.s.turn.Lock()
	time.Sleep(d) //nolint:forbidigo // in a bubble
}

// IsTxn tells whether it is a transaction with the text in one of its keys or values.
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

// Expiry tells when the server took a lease away, or the zero time.
func (s *Server) Expiry(id gateway.LeaseID) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.expired[int64(id)]
}

// Get reads a key.
func (s *Server) Get(key string) (kv gateway.KeyValue, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.store.kvs[key]
	if !ok {
		return gateway.KeyValue{}, false
	}
	return gateway.KeyValue{
		Key: key, Value: o.Value, CreateRevision: o.Create, ModRevision: o.Mod, Version: o.Version, Lease: gateway.LeaseID(o.Lease),
	}, true
}

// Keys lists the keys with a prefix.
func (s *Server) Keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, o := range s.store.find(prefix, gatewayEnd(prefix)) {
		keys = append(keys, string(o.Key))
	}
	return keys
}

// Put writes a key, as an operator would.
func (s *Server) Put(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.put(&putRequest{Key: []byte(key), Value: []byte(value)})
	s.commit(t)
}

// Delete deletes a key, as an operator would.
func (s *Server) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.delete(&deleteRequest{Key: []byte(key)})
	s.commit(t)
}

// Revoke takes a lease away, and its keys.
func (s *Server) Revoke(id gateway.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke(int64(id))
}

// Compact forgets all history.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.compacted = s.store.rev
}

// Revision is the store's.
func (s *Server) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.rev
}

// Leases counts the leases that live.
func (s *Server) Leases() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.store.leases)
}

// Touch writes a key again as it is, under its lease.
func (s *Server) Touch(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.store.kvs[key]
	t := s.store.begin()
	t.put(&putRequest{Key: o.Key, Value: o.Value, Lease: o.Lease})
	s.commit(t)
}
