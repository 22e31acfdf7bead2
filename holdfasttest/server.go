package holdfasttest

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// Server is an etcd with one member. [New] makes one. It is safe for concurrent use.
type Server struct {
	tb   testing.TB
	etcd *fakeetcd.Server

	mu     sync.Mutex
	faults []*fault
}

// New returns a server with an empty store, which runs until the end of the test. In a bubble of
// testing/synctest, call it with the bubble's own t.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, etcd: fakeetcd.New()}
	s.etcd.Script(s.answer)
	tb.Cleanup(func() {
		if err := s.etcd.Close(); err != nil {
			tb.Error(err)
		}
		s.checkFaults()
	})
	return s
}

// Config returns the settings of a client of the server. Add your own to it and pass it to
// [gateway.New]. The program must close the client before the test ends.
func (s *Server) Config() gateway.Config { return s.etcd.Config() }

// Client returns a new client of the server. It is closed at the end of the test.
func (s *Server) Client() *gateway.Client {
	s.tb.Helper()
	return s.etcd.Client(s.tb)
}

// closing is the time that a session has to end, if the server still answers.
const closing = time.Second

// Session returns a new session with a client of its own, like another process. Nil options are the
// defaults. It is closed at the end of the test. The test fails if the server does not answer.
func (s *Server) Session(opts *session.Options) *session.Session {
	s.tb.Helper()
	held, err := session.New(s.tb.Context(), s.Client(), opts)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		_ = held.Close(ctx) // the test may have stopped the server
	})
	return held
}

// ServeHTTP answers a request to etcd's gateway, for use in an httptest.Server. Close that one
// before the test ends. Connections of the operating system cannot be used in a bubble.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.etcd.ServeHTTP(w, r) }

// Get returns a key as it is now. ok is false if the key does not exist. It reads the store
// directly, also while the server is stopped.
func (s *Server) Get(key string) (kv gateway.KeyValue, ok bool) { return s.etcd.Get(key) }

// Keys returns the names of the keys with a prefix, sorted. The prefix must not be empty. It reads
// the store directly, also while the server is stopped.
func (s *Server) Keys(prefix string) []string {
	s.tb.Helper()
	if prefix == "" {
		s.tb.Fatal("holdfasttest: the prefix is empty")
	}
	return s.etcd.Keys(prefix)
}

// Revision returns the revision of the newest write.
func (s *Server) Revision() int64 { return s.etcd.Revision() }

// Delete deletes a key, like an operator.
func (s *Server) Delete(key string) { s.etcd.Delete(key) }

// Revoke ends a lease before its time and deletes its keys, like an operator or a leader that was
// paused. It has no effect if the lease does not exist.
func (s *Server) Revoke(id gateway.LeaseID) { s.etcd.Revoke(id) }

// Compact drops the history, so that a watch that has missed an event cannot resume. It first puts
// a key of one zero byte, because etcd keeps the newest revision.
func (s *Server) Compact() { s.etcd.Compact() }
