package gateway

import (
	"context"
	"time"
)

// Hooks tell a program what its client does, for metrics and traces. Each may be nil, and costs nothing then. Attempts of
// a call are told of in the goroutine that makes the call, which waits for a hook that blocks; several may be at a time. All
// else, renewals and streams, is told of in order, in a goroutine that nothing but hooks and the Logger wait for. While one
// blocks there, what comes after the next hundred is left out. Close waits for them.
//
// A hook must not panic, because the library does not recover: in one of its goroutines the panic ends the program. A client
// whose hook has panicked in a goroutine of the caller, and its sessions, must not be used any more.
type Hooks struct {
	// Attempt is called after each attempt of a call at an endpoint. ctx is of the call, with the values that the caller's
	// has; writes of a session that go together have those of the caller who sends them, and renewals, and what else the
	// library does by itself, may have none. Streams of watches, snapshots and the plain pages (Version, Health, Ready,
	// Live) are no attempts.
	Attempt func(ctx context.Context, a Attempt)
	// StreamOpened is called when the watches of the client are first answered at an endpoint. They may
	// go by several streams there, as [WatchMode] says: all of them are one for this hook, and
	// streams that replace others at the same endpoint are not reported.
	StreamOpened func(endpoint string)
	// StreamEnded is called when the watches leave the endpoint, or no watch is left. lasted is the time
	// since the client turned to the endpoint, also if no stream was answered there. err is nil if no
	// watch was left.
	StreamEnded func(endpoint string, lasted time.Duration, err error)
}

// Attempt is one request and its answer.
type Attempt struct {
	Op       string // "get", "put", "txn", "keepalive" …, as in [Error]
	Endpoint string
	Start    time.Time
	Duration time.Duration
	Err      error // an [*Error]; nil if it was answered as hoped
}

// attempt sends the call once.
func (c *Client) attempt(ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration) *Error {
	return c.attempted(ctx, ep, r, token, timeout, func(call func()) { call() })
}

// attemptNoted is attempt for goroutines that must not wait for a hook.
func (c *Client) attemptNoted(ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration) *Error {
	return c.attempted(ctx, ep, r, token, timeout, c.note)
}

func (c *Client) attempted(
	ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration, run func(func()),
) *Error {
	began := time.Now()
	e := c.send(ctx, ep, r, token, timeout)
	c.outage.note(r, ep, e, began)
	c.auth.note(token, e) //nolint:contextcheck // a log-in behind it has the life of the client, not of the caller
	hook := c.cfg.Hooks.Attempt
	if hook == nil {
		return e
	}
	a := Attempt{Op: r.op, Endpoint: ep.url, Start: began, Duration: time.Since(began)}
	if e != nil {
		a.Err = e
	}
	run(func() { hook(ctx, a) })
	return e
}

// saidAgain is how long the loss of a stream is not said again.
const saidAgain = time.Minute

func (h *hub) streamOpened(ep *endpoint) {
	if h.lost {
		h.lost = false
		h.c.note(func() { h.c.log.Info("watch_stream_resumed", "endpoint", ep.url) })
	}
	if hook := h.c.cfg.Hooks.StreamOpened; hook != nil {
		h.c.note(func() { hook(ep.url) })
	}
}

func (h *hub) streamEnded(ep *endpoint, began time.Time, stood bool, e *Error) {
	var err error
	if e != nil {
		err = e
	}
	if stood && err != nil && h.c.ctx.Err() == nil {
		// What cuts streams now and then, such as the time limit of a proxy, is said now and then.
		if now := h.now(); h.lostAt == 0 || now-h.lostAt > saidAgain {
			h.lost, h.lostAt = true, now
			h.c.note(func() { h.c.log.Info("watch_stream_lost", "endpoint", ep.url, "err", err) })
		}
	}
	if hook := h.c.cfg.Hooks.StreamEnded; hook != nil {
		lasted := time.Since(began)
		h.c.note(func() { hook(ep.url, lasted, err) })
	}
}
