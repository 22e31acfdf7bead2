package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// hub has all watches of a client. One goroutine runs one watchmux after the other: when an
// endpoint fails, the next one resumes every watch.
type hub struct {
	c     *Client
	epoch time.Time     // the origin of all times of watches
	turn  chan struct{} // held while owners of watches are called
	// lost says that the stream of the watches broke and none has replaced it. It belongs to the
	// goroutine that runs the hub.
	lost    bool
	lostAt  time.Duration      // when a loss was last logged at Info
	said    map[*endpoint]mode // the mode that was last logged
	trouble warner

	mu      sync.Mutex
	watches map[*watch]struct{}
	hasty   int // the watches that are not patient
	running bool
	mux     *watchmux // nil between two endpoints
	lastID  int64
	failure *Error // why there is no stream; nil while one works, or the first has not failed
	asked   bool   // a caller waits for a report of progress
	behind  int    // how many endpoints in a row were left because they were behind
}

// watch is one watch, on whichever stream. All but its first fields are guarded by hub.mu.
type watch struct {
	key, end string
	prevKV   bool
	noPut    bool
	noDelete bool
	notify   bool // the watch reports progress
	patient  bool // see Patient
	fn       func(WatchResponse)

	place *place   // where events are delivered from; nil: not confirmed
	asked []*place // where it is requested
	// next is the first revision not yet delivered; 0: from the revision when etcd creates it.
	next int64
	// resume is where another stream continues: next, or later if nothing happened before.
	resume    int64
	announced bool // confirmed at least once
	// began is when a watch without a start revision was confirmed; else 0.
	began time.Duration
	gone  bool    // nothing more is delivered
	held  []Event // the first events of an incomplete revision
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
	if !w.patient {
		h.hasty++
	}
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

// drop removes a watch, and all streams with the last one.
func (h *hub) drop(w *watch, cancel bool) {
	w.gone = true
	delete(h.watches, w)
	if !w.patient {
		h.hasty--
	}
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

// run carries the watches over one endpoint after the other, until none is left.
func (h *hub) run() {
	pause := streamPause{growing: newBackoff()}
	unusable := map[*endpoint]bool{} // until the set-up changes
	slow := 0                        // streams in a row not answered in time
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
		h.setFailure(err)
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
		sleep(h.c.ctx, pause.after(stood, err.brokenOff(), time.Now()))
	}
}

// report logs changes, outside of all locks. It returns how long it may be before the next call.
func (h *hub) report(m *watchmux) time.Duration {
	h.mu.Lock()
	now, stood := h.now(), m.stood
	h.mu.Unlock()
	if stood {
		h.setFailure(nil)
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

// wanted reports whether a stream is needed; if not, run must end at once.
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

// failNew ends the watches that were never confirmed, because their callers wait. The others keep
// retrying, because callers rely on them.
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

func (h *hub) setFailure(err *Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

// contextEnded returns the error of a watch whose context has ended, with the endpoint and, while
// no stream works, the last failure of one.
func (h *hub) contextEnded(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &Error{Op: "watch", cause: ctxerr.Of(ctx)}
	if h.mux != nil {
		e.Endpoint = h.mux.ep.url
	}
	if h.failure != nil {
		last := error(h.failure)
		if errors.Is(last, context.DeadlineExceeded) || errors.Is(last, context.Canceled) {
			last = errors.New(last.Error()) // of a log-in's own context, not of the caller's
		}
		e.Endpoint = h.failure.Endpoint
		e.cause = fmt.Errorf("%w (last attempt: %w)", e.cause, last)
	}
	return e
}

// exclusively calls fn, which reports to owners of watches, while no message is handled.
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
