package faultproxy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A Request is the description of a request that Rule.Match sees. It is a value.
type Request struct {
	Method string
	Path   string
	Header http.Header
	// Body is the whole body. It is empty for a stream.
	Body []byte
	// Stream reports whether the request is passed on without being read whole, because its body
	// has no announced length or its answer is endless.
	Stream bool
}

// An Action is the treatment of the requests that a rule applies to. Such a request reaches the
// target even if the client gives up, unless it is a stream or the action is Refuse. An Action is a
// value.
type Action struct {
	kind  kind
	delay time.Duration
}

type kind int

const (
	drop kind = iota
	hang
	refuse
	duplicate
	duplicateLater
	delayBefore
	delayAfter
)

var (
	// Drop forwards the request, waits for the answer, and closes the client's connection without
	// it. For a stream it waits for the first bytes only.
	Drop = Action{kind: drop}
	// Hang forwards the request, waits for the answer, and keeps it until the client gives up or
	// the rules are cleared. Then it closes the client's connection.
	Hang = Action{kind: hang}
	// Refuse closes the client's connection and forwards nothing.
	Refuse = Action{kind: refuse}
	// Duplicate forwards the request twice, one after the other, and answers with the first answer.
	// It does not affect streams.
	Duplicate = Action{kind: duplicate}
)

// DuplicateLater answers as usual, and forwards the request once more after d. It does not affect
// streams.
func DuplicateLater(d time.Duration) Action { return Action{kind: duplicateLater, delay: d} }

// DelayBefore waits for d before it forwards the request.
func DelayBefore(d time.Duration) Action { return Action{kind: delayBefore, delay: d} }

// DelayAfter waits for d before it delivers the answer. For a stream it waits before the first
// bytes.
func DelayAfter(d time.Duration) Action { return Action{kind: delayAfter, delay: d} }

// A Rule applies an Action to selected requests. It is a value.
type Rule struct {
	// Match selects requests; nil selects all. It must be safe for concurrent use.
	Match func(*Request) bool
	// Skip is the number of matching requests that pass before the rule applies.
	Skip int
	// Times is the number of requests that the rule then applies to; 0 means all.
	Times  int
	Action Action
}

// Path returns a Match for the requests with a path, such as "/v3/kv/txn".
func Path(path string) func(*Request) bool {
	return func(r *Request) bool { return r.Path == path }
}

// An ArmedRule is an active rule. Its methods are safe for concurrent use.
type ArmedRule struct {
	rule  Rule
	proxy *HTTPProxy

	mu      sync.Mutex
	seen    int
	hits    int
	changed chan struct{} // closed and replaced when hits changes
}

// Seen returns how many requests matched.
func (a *ArmedRule) Seen() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// Hits returns how many requests the rule was carried out on. A request counts when its answer was
// dropped, its second copy was answered, or its delay has begun.
func (a *ArmedRule) Hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits
}

// WaitHits waits until Hits returns n or more. If ctx ends before that, it returns an error that
// wraps the cause of ctx.
func (a *ArmedRule) WaitHits(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		hits, changed := a.hits, a.changed
		a.mu.Unlock()
		if hits >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("faultproxy: wait for hit %d, had %d: %w", n, hits,
				context.Cause(ctx))
		}
	}
}

// Remove ends the rule for later requests.
func (a *ArmedRule) Remove() { a.proxy.remove(a) }

// applies reports whether the rule applies to the request, and counts it.
func (a *ArmedRule) applies(r *Request) bool {
	if a.rule.Match != nil && !a.rule.Match(r) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	n := a.seen - a.rule.Skip
	return n > 0 && (a.rule.Times == 0 || n <= a.rule.Times)
}

func (a *ArmedRule) hit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hits++
	close(a.changed)
	a.changed = make(chan struct{})
}
