package gateway

import (
	"sync"
	"time"
)

// attemptTimeout grows for calls that may be repeated, and for all calls while no attempt has been
// answered in time, because a slow network is not dead. In the first seconds it stays short,
// because a leader may have died.
func (c *Client) attemptTimeout(r *call, try int) time.Duration {
	if r.timeout > 0 {
		return r.timeout
	}
	grown := 0
	if r.repeat {
		grown = max(0, try-1)
	}
	if r.noAuth {
		// etcd makes log-ins slow on purpose, and one that is cut off has cost it as much.
		grown++
	}
	if c.pace.slow() {
		grown = maxGrowth
	}
	return c.cfg.AttemptTimeout << max(0, min(grown, maxGrowth))
}

const (
	maxGrowth = 3               // doublings
	slowAfter = 3 * time.Second // without an answer in time
)

// pace records since when no attempt was answered within the configured time.
type pace struct {
	mu    sync.Mutex
	since time.Time // zero: the last attempt was answered in time
}

func (p *pace) note(e *Error, quick bool) {
	late := e != nil && e.late()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case late && p.since.IsZero():
		p.since = time.Now()
	case !late && quick:
		p.since = time.Time{}
	}
}

// late reports whether the attempt's time ended, by the client's clock or by the server's, which
// has the same limit.
func (e *Error) late() bool {
	return e.timedOut || e.Code == CodeDeadlineExceeded && e.Message != ""
}

func (p *pace) slow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.since.IsZero() && time.Since(p.since) > slowAfter
}
