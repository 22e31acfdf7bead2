package faultproxy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A Request is what a rule is matched against.
type Request struct {
	Method string
	Path   string
	Header http.Header
	// Body is the whole body; it is empty for a stream.
	Body []byte
	// Stream tells that the request is passed on without being read whole: its
	// body has no announced length, or it is a watch.
	Stream bool
}

// An Action is what happens to a request that a rule applies to. Requests are
// forwarded on their own: when the client gives up, they still reach the target.
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
	// Drop forwards the request, waits for the answer, and closes the client's
	// connection without it. For a stream it does so at the first bytes.
	Drop = Action{kind: drop}
	// Hang forwards the request, waits for the answer, and keeps it until the
	// client gives up or the rules are cleared.
	Hang = Action{kind: hang}
	// Refuse closes the client's connection and forwards nothing.
	Refuse = Action{kind: refuse}
	// Duplicate forwards the request twice, one after the other, and answers
	// with the first answer. Streams pass as they are.
	Duplicate = Action{kind: duplicate}
)

// DuplicateLater answers as usual and forwards the request once more when d has
// passed after the answer: a late copy. Streams pass as they are.
func DuplicateLater(d time.Duration) Action { return Action{kind: duplicateLater, delay: d} }

// DelayBefore waits before the request is forwarded.
func DelayBefore(d time.Duration) Action { return Action{kind: delayBefore, delay: d} }

// DelayAfter waits before the answer is delivered. For a stream it waits before
// the first bytes.
func DelayAfter(d time.Duration) Action { return Action{kind: delayAfter, delay: d} }

// A Rule says what happens to which requests.
type Rule struct {
	// Match selects requests; nil selects all. It is called concurrently.
	Match func(*Request) bool
	// Skip is how many matching requests pass before the rule applies.
	Skip int
	// Times is how many requests the rule applies to after that; 0 is all.
	Times  int
	Action Action
}

// Path matches requests for a path, such as "/v3/kv/txn".
func Path(path string) func(*Request) bool {
	return func(r *Request) bool { return r.Path == path }
}

// An ArmedRule is a rule in effect.
type ArmedRule struct {
	rule  Rule
	proxy *HTTPProxy

	mu      sync.Mutex
	seen    int
	hits    int
	changed chan struct{} // closed and replaced when hits changes
}

// Seen returns how many requests matched so far.
func (a *ArmedRule) Seen() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// Hits returns how many requests the rule was carried out on so far: a request
// counts once its answer was dropped, its second copy was answered, its delay
// has begun.
func (a *ArmedRule) Hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits
}

// WaitHits waits until Hits returns n or more.
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
			return fmt.Errorf("faultproxy: wait for hit %d, had %d: %w", n, hits, context.Cause(ctx))
		}
	}
}

// Remove takes the rule out of effect for requests to come.
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
