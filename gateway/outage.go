package gateway

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// outage logs when no attempt of the client succeeds any more, for any call, because calls that
// keep retrying would be silent otherwise. It logs once after outageAfter, then after growing
// pauses, and once when the outage is over.
type outage struct {
	c    *Client
	down atomic.Bool // an attempt has failed, and none has succeeded since

	mu     sync.Mutex
	since  time.Time
	local  bool // every attempt that failed needed no leader
	warned bool
	next   time.Time // when to warn again
	pause  time.Duration
}

const (
	outageAfter    = 2 * time.Second
	outagePause    = 10 * time.Second
	outageMaxPause = 5 * time.Minute
)

// note handles the end of an attempt.
func (o *outage) note(r *call, ep *endpoint, e *Error, began time.Time) {
	if e == nil || e.answered() {
		if o.down.Load() {
			o.served(r, ep)
		}
		return
	}
	if e.cutOff || !e.elsewhere() && !e.setup() && !errors.Is(e, ErrUnauthenticated) {
		return
	}
	now := time.Now()
	o.mu.Lock()
	if !o.down.Load() {
		o.down.Store(true)
		o.since, o.local, o.warned = began, true, false
		o.next, o.pause = began.Add(outageAfter), outagePause
	}
	o.local = o.local && r.local
	due := !now.Before(o.next)
	if due {
		o.warned, o.next, o.pause = true, now.Add(o.pause), min(2*o.pause, outageMaxPause)
	}
	lasted := now.Sub(o.since)
	o.mu.Unlock()
	if due {
		o.say(func(log *slog.Logger) {
			log.Warn("etcd_out_of_reach", "endpoint", ep.url,
				"for", lasted.Round(time.Millisecond), "err", e)
		})
	}
}

// say logs in a goroutine of its own, because a logger may block, and renewals make attempts, too.
func (o *outage) say(fn func(*slog.Logger)) { o.c.spawn(func() { fn(o.c.log) }) }

// served ends an outage. A log-in does not end one, and a call without the leader only if all that
// failed were such calls, because a member without a leader answers some.
func (o *outage) served(r *call, ep *endpoint) {
	if r.noAuth {
		return
	}
	o.mu.Lock()
	over := o.down.Load() && (!r.local || o.local)
	warned, lasted := o.warned, time.Since(o.since)
	if over {
		o.down.Store(false)
	}
	o.mu.Unlock()
	if over && warned {
		o.say(func(log *slog.Logger) {
			log.Info("etcd_within_reach", "endpoint", ep.url,
				"after", lasted.Round(time.Millisecond))
		})
	}
}

// answered reports whether etcd served the request, though with a rejection.
func (e *Error) answered() bool {
	return e.Code != 0 && !e.cutOff && !e.elsewhere() && !e.setup() &&
		!errors.Is(e, ErrUnauthenticated)
}
