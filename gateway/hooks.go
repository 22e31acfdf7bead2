package gateway

import (
	"context"
	"time"
)

// Hooks are functions that the client calls, for metrics and traces. Each may be nil. Attempt is
// called in the goroutine that makes the call, which waits for it; several calls may run at a time.
// The other hooks, and Attempt for renewals, are called in order in a goroutine that only hooks and
// the Logger can delay. While one blocks there, up to a hundred calls are queued and further ones
// are dropped. Close waits for all.
//
// A hook must not panic, because the library does not recover: in one of its goroutines the panic
// ends the program. After a hook has panicked in a caller's goroutine, the client and its sessions
// must not be used any more.
type Hooks struct {
	// Attempt is called after each attempt of a call at an endpoint. ctx belongs to the call and
	// has the values of the caller's context. Writes of a session that are sent together have the
	// values of the caller who sends them. Renewals and other requests that the library makes by
	// itself may have none. Streams of watches, snapshots and the plain pages (Version, Health,
	// Readyz, Livez) are not attempts.
	Attempt func(ctx context.Context, a Attempt)
	// StreamOpened is called when the watches of the client are first answered at an endpoint.
	// Several streams there, see [WatchMode], count as one, and streams that replace others at the
	// same endpoint are not reported.
	StreamOpened func(endpoint string)
	// StreamEnded is called when the watches leave the endpoint, or no watch is left. lasted is the
	// time since the client turned to the endpoint, also if no stream was answered there. err is
	// nil if no watch was left.
	StreamEnded func(endpoint string, lasted time.Duration, err error)
}

// Attempt is one request and its answer.
type Attempt struct {
	Op       string // "get", "put", "txn", "keepalive" …, as in [Error]
	Endpoint string
	Start    time.Time
	Duration time.Duration
	Err      error // an [*Error]; nil on success
}

// attempt sends the call once.
func (c *Client) attempt(
	ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration,
) *Error {
	return c.attempted(ctx, ep, r, token, timeout, func(call func()) { call() })
}

// attemptNoted is attempt for goroutines that must not wait for a hook.
func (c *Client) attemptNoted(
	ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration,
) *Error {
	return c.attempted(ctx, ep, r, token, timeout, c.note)
}

func (c *Client) attempted(
	ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration,
	run func(func()),
) *Error {
	began := time.Now()
	e := c.send(ctx, ep, r, token, timeout)
	c.outage.note(r, ep, e, began)
	//nolint:contextcheck // a log-in behind it has the life of the client, not of the caller
	c.auth.note(token, e)
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

// saidAgain is the least time between two log records about lost streams.
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
		// Streams that are cut from time to time, as by the time limit of a proxy, are logged from
		// time to time.
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
