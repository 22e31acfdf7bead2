package holdfasttest

import (
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// Call is a call of etcd's gateway.
type Call string

// The calls of the library. Sessions and recipes write with Txn. Watch is the stream of all watches
// of a client.
const (
	Get       Call = "/kv/range"
	Put       Call = "/kv/put"
	Delete    Call = "/kv/deleterange"
	Txn       Call = "/kv/txn"
	Grant     Call = "/lease/grant"
	Revoke    Call = "/lease/revoke"
	KeepAlive Call = "/lease/keepalive"
	Watch     Call = "/watch"
)

// Match selects requests. The zero Match selects every request.
type Match struct {
	// Call is the call of the requests; the zero value is any call.
	Call Call
	// Text is a part of a key or of a value in the requests; the empty text is in all of them.
	Text string
	// N selects one of the requests that the other fields select: 1 is the next one. The zero value
	// selects all of them. The test fails at its end if there was no such request.
	N int
}

// fault is a fault of the network.
type fault struct {
	Match
	name  string
	apply func(*fakeetcd.Call) fakeetcd.Answer
	seen  int
	over  bool // by Heal
}

// DropAnswer applies requests and breaks the connection in place of an answer. A write then
// returns [gateway.ErrUncertain], unless the caller can find out its outcome.
func (s *Server) DropAnswer(m Match) {
	s.tb.Helper()
	s.inject("DropAnswer", m, func(c *fakeetcd.Call) fakeetcd.Answer {
		c.Apply()
		return fakeetcd.Lost
	})
}

// Repeat answers requests, and applies a copy of each after a time, as a proxy may do that sends
// requests again.
func (s *Server) Repeat(m Match, after time.Duration) {
	s.tb.Helper()
	s.inject("Repeat", m, func(c *fakeetcd.Call) fakeetcd.Answer {
		time.AfterFunc(after, func() { c.Apply() })
		return c.Apply()
	})
}

// Delay applies requests after a time, and answers then. They are applied even if their callers no
// longer wait.
func (s *Server) Delay(m Match, by time.Duration) {
	s.tb.Helper()
	s.inject("Delay", m, func(c *fakeetcd.Call) fakeetcd.Answer {
		c.Sleep(by)
		return c.Apply()
	})
}

// BlackHole loses requests: they are never applied, and their callers wait for an answer until they
// give up. With the zero Match, or the call [Watch], it also makes the streams of watches silent
// until [Server.Heal], when everything that was sent meanwhile arrives. Leases expire meanwhile.
func (s *Server) BlackHole(m Match) {
	s.tb.Helper()
	if m.Call == Watch && m != (Match{Call: Watch}) {
		s.tb.Fatalf("holdfasttest: BlackHole of %v: all watches of a client share a stream", m)
	}
	if m.Call == Watch || m == (Match{}) {
		s.etcd.Mute(true)
	}
	if m.Call != Watch {
		s.inject("BlackHole", m, (*fakeetcd.Call).Silence)
	}
}

// Heal ends the faults of the network: DropAnswer, Repeat, Delay and BlackHole. Requests that they
// hold back already stay late or lost.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		f.over = true
	}
	s.etcd.Mute(false)
}

func (s *Server) inject(name string, m Match, apply func(*fakeetcd.Call) fakeetcd.Answer) {
	s.tb.Helper()
	if m.Call == Watch {
		s.tb.Fatalf("holdfasttest: %s of %v: streams can be cut or silent only", name, m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{Match: m, name: name, apply: apply})
}

// answer answers a request, with the oldest fault that it meets.
func (s *Server) answer(c *fakeetcd.Call) fakeetcd.Answer {
	if f := s.meet(c); f != nil {
		return f.apply(c)
	}
	return c.Apply()
}

func (s *Server) meet(c *fakeetcd.Call) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.over || f.Call != "" && string(f.Call) != c.Path ||
			f.Text != "" && !c.Mentions(f.Text) {
			continue
		}
		f.seen++
		if f.N == 0 || f.seen == f.N {
			return f
		}
	}
	return nil
}

// checkFaults reports faults for one request that did not happen.
func (s *Server) checkFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.seen < f.N {
			s.tb.Errorf("holdfasttest: %s of %v: there were only %d such requests", f.name, f.Match,
				f.seen)
		}
	}
}

// String describes the requests.
func (m Match) String() string {
	return fmt.Sprintf("%q with %q, number %d", string(m.Call), m.Text, m.N)
}
