package gateway

import (
	"errors"
	"sync"
	"time"
)

// hub has all watches of a client. One goroutine runs one watchmux after the other: when an endpoint fails, the next takes
// over every watch where it stood.
type hub struct {
	c       *Client
	epoch   time.Time          // of all times of watches
	turn    chan struct{}      // held while owners of watches are called
	lost    bool               // what carried the watches broke, and nothing has come after it: of the goroutine that runs the hub
	lostAt  time.Duration      // when that was last said at Info
	said    map[*endpoint]mode // what was said of modes
	trouble warner

	mu      sync.Mutex
	watches map[*watch]struct{}
	running bool
	mux     *watchmux // nil between two endpoints
	lastID  int64
	asked   bool // somebody waits for a report of progress
	behind  int  // how many endpoints in a row were left because they were behind
}

// watch is one watch, on whichever stream. All but its first fields are guarded by hub.mu.
type watch struct {
	key, end string
	prevKV   bool
	noPut    bool
	noDelete bool
	notify   bool // wants to be told of progress
	fn       func(WatchResponse)

	place     *place        // where it is delivered from; nil: it is not confirmed on any stream
	asked     []*place      // where it is asked for
	next      int64         // the first revision not yet delivered; 0: from whenever the server creates it
	resume    int64         // where another stream would go on: next, or later if nothing happened before
	announced bool          // confirmed at least once
	began     time.Duration // when it was, of one that does not begin with a revision; else 0
	gone      bool          // nothing more is delivered
	held      []Event       // of a revision whose rest is still to come
}

func newHub(c *Client) *hub {
	return &hub{
		c:       c,
		turn:    make(chan struct{}, 1),
		epoch:   time.Now().Add(-time.Second), // 0 is no time of its clock
		watches: map[*watch]struct{}{},
		said:    map[*endpoint]mode{},
		trouble: warner{note: c.note, log: c.log},
	}
}

func (h *hub) now() time.Duration { return time.Since(h.epoch) }

func (h *hub) add(w *watch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running {
		if !h.c.spawn(h.run) {
			return false
		}
		h.running = true
	}
	h.watches[w] = struct{}{}
	switch m := h.mux; {
	case m == nil:
	case m.shared != nil:
		m.ask(m.shared, w, h.now())
	default:
		m.homeless(w)
		m.signal()
	}
	return true
}

func (h *hub) remove(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !w.gone {
		h.drop(w, true)
	}
}

// drop forgets a watch, and all streams with the last one.
func (h *hub) drop(w *watch, cancel bool) {
	w.gone = true
	delete(h.watches, w)
	m := h.mux
	if m == nil {
		return
	}
	m.forget(w, cancel)
	if len(h.watches) == 0 {
		m.abandoned = true
		m.cancel(nil)
		h.mux = nil
	}
}

// run has one endpoint after the other carry the watches, for as long as there are any.
func (h *hub) run() {
	pause := newBackoff()
	var paused time.Duration         // before the last stream
	unusable := map[*endpoint]bool{} // until somebody mends the set-up
	slow := 0                        // streams in a row whose answer did not come in time
	for h.wanted() {
		ep, began := h.c.eps.pick(), time.Now()
		m := newWatchmux(h, ep, h.c.attemptTimeout(&call{repeat: true}, 1+slow/h.c.eps.size()))
		stood, err := m.run()
		h.streamEnded(ep, began, stood, err)
		if err == nil || h.c.ctx.Err() != nil {
			continue
		}
		switch {
		case stood:
			// Whatever breaks them, streams are there for more than half of the time then; to one that is cut at once the
			// client comes back less and less often.
			if time.Since(began) > paused {
				pause.Reset()
			}
			clear(unusable)
			slow = 0
		case errors.Is(err, errStalled):
			slow++
		}
		if errors.Is(err, errBehind) {
			h.mu.Lock()
			h.behind++
			h.mu.Unlock()
		}
		h.trouble.failed(h.now(), ep, err)
		h.c.note(func() { h.c.log.Debug("watch_stream_ended", "endpoint", ep.url, "err", err) })
		if !err.aboutToken() {
			h.c.eps.failed(ep, err)
		}
		if !stood && (errors.As(err, new(setupError)) || err.doubtful()) {
			unusable[ep] = true
		}
		if covered(h.c.eps, unusable) ||
			errors.Is(err, ErrUnauthenticated) && !stood && !h.c.auth.mayHelp(err) {
			h.failNew(err)
			clear(unusable)
		}
		paused = pause.NextBackOff()
		sleep(h.c.ctx, paused)
	}
}

// report says what has changed, outside of all locks. It returns when it is to be called again at the latest.
func (h *hub) report(m *watchmux) time.Duration {
	h.mu.Lock()
	now, stood := h.now(), m.stood
	h.mu.Unlock()
	if stood {
		h.trouble.over(m.ep)
	} else {
		h.trouble.waiting(now, m.ep)
	}
	if is := mode(m.ep.mode.Load()); is != h.said[m.ep] {
		h.said[m.ep] = is
		h.c.note(func() {
			h.c.log.Info("watch_mode", "endpoint", m.ep.url, "mode", string(is.public()))
		})
	}
	if stood {
		return never
	}
	return h.trouble.next - now
}

// wanted tells whether a stream is needed; if not, run must end at once.
func (h *hub) wanted() bool {
	h.mu.Lock()
	if len(h.watches) > 0 && h.c.ctx.Err() == nil {
		h.mu.Unlock()
		return true
	}
	var left []*watch
	for w := range h.watches {
		h.drop(w, false)
		left = append(left, w)
	}
	h.running = false
	h.mu.Unlock()
	h.exclusively(func() {
		for _, w := range left {
			w.fn(WatchResponse{Err: &Error{Op: "watch", cause: ErrClosed}})
		}
	})
	return false
}

// failNew ends the watches whose makers still wait for them. Those that stood once go on trying: somebody relies on
// them.
func (h *hub) failNew(err *Error) {
	var fresh []*watch
	h.mu.Lock()
	for w := range h.watches {
		if !w.announced {
			fresh = append(fresh, w)
		}
	}
	h.mu.Unlock()
	h.exclusively(func() {
		for _, w := range fresh {
			h.end(w, err)
		}
	})
}

// exclusively runs what reports to owners of watches outside of the handling of messages.
func (h *hub) exclusively(fn func()) {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	fn()
}

// end reports the end of a watch to its owner.
func (h *hub) end(w *watch, err error) {
	h.mu.Lock()
	gone := w.gone
	if !gone {
		h.drop(w, false)
	}
	h.mu.Unlock()
	if !gone {
		w.fn(WatchResponse{Err: err})
	}
}
