package fakeetcd

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Answer is the response to a call. The zero Answer closes the connection without a response.
type Answer struct {
	Status int
	Body   []byte
}

// Lost closes the connection without a response.
var Lost = Answer{}

// statuses are the HTTP statuses of etcd's codes. Other codes have 400.
var statuses = map[gateway.Code]int{
	gateway.CodeUnknown:           http.StatusInternalServerError,
	gateway.CodeDeadlineExceeded:  http.StatusGatewayTimeout,
	gateway.CodeNotFound:          http.StatusNotFound,
	gateway.CodePermissionDenied:  http.StatusForbidden,
	gateway.CodeResourceExhausted: http.StatusTooManyRequests,
	gateway.CodeUnimplemented:     http.StatusNotImplemented,
	gateway.CodeInternal:          http.StatusInternalServerError,
	gateway.CodeUnavailable:       http.StatusServiceUnavailable,
	gateway.CodeUnauthenticated:   http.StatusUnauthorized,
}

// Error returns the response with which etcd reports an error.
func Error(code gateway.Code, message string) Answer {
	body, _ := json.Marshal(map[string]any{"code": code, "message": message}) // cannot fail
	return Answer{cmp.Or(statuses[code], http.StatusBadRequest), body}
}

// Denied returns the response to a user without permission.
func Denied() Answer { return Error(gateway.CodePermissionDenied, "etcdserver: permission denied") }

// Script makes fn answer all calls except watches, until the next Script. If fn is nil, the server
// answers them normally. Calls of fn do not overlap, except during [Call.Sleep] and [Call.Silence].
func (s *Server) Script(fn func(*Call) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = fn
	s.calls = 0
}

// Call is one request.
type Call struct {
	N    int    // number of the call since the last Script, from 1
	Path string // "/kv/txn", …
	Body []byte

	s     *Server
	token string
	done  <-chan struct{}
}

// Apply applies the call and returns the response. Each further call of Apply applies it again.
func (c *Call) Apply() Answer { return c.s.apply(c) }

// Silence waits until the caller has left, and returns [Lost].
func (c *Call) Silence() Answer {
	c.s.turn.Unlock()
	defer c.s.turn.Lock()
	<-c.done
	return Lost
}

// Sleep waits for d, or until the server is closed. Other calls of the script can run meanwhile.
func (c *Call) Sleep(d time.Duration) {
	c.s.turn.Unlock()
	defer c.s.turn.Lock()
	c.s.pause(d)
}

// Mentions reports whether one of the call's keys and values contains the text.
func (c *Call) Mentions(text string) bool { return mentions(c.Body, text) }

// IsTxn reports whether the call is a transaction with the text in one of its keys or values.
func (c *Call) IsTxn(text string) bool { return c.Path == "/kv/txn" && c.Mentions(text) }

func (s *Server) run(script func(*Call) Answer, call *Call) Answer {
	if script == nil {
		return call.Apply()
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	return script(call)
}
