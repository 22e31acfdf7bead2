package gateway

import (
	"errors"
	"sync"
	"time"
)

// hub carries all watches of a client over one stream. Creates and cancels are written as they come; one goroutine
// reads, and calls the watches' owners. When a stream breaks, the next one takes over every watch where it stood.
type hub struct {
	c     *Client
	epoch time.Time // of the streams' clocks
	lost  bool      // the last stream broke, and none has come after it: of the goroutine that runs them

	mu      sync.Mutex
	watches map[*watch]struct{}
	running bool
	conn    *conn // nil between two streams
	lastID  int64
	asked   bool // somebody waits for a report of progress
}

// watch is one watch, on whichever stream. All but its first fields are guarded by hub.mu.
type watch struct {
	key, end string
	prevKV   bool
	noPut    bool
	noDelete bool
	notify   bool // wants to be told of progress
	fn       func(WatchResponse)

	id        int64   // on the current stream; each is used once
	next      int64   // the first revision not yet delivered; 0: from whenever the server creates it
	resume    int64   // where another stream would go on: next, or later if nothing happened before
	standing  bool    // confirmed on the current stream
	announced bool    // confirmed at least once
	gone      bool    // nothing more is delivered
	held      []Event // of a revision whose rest is still to come
}

func newHub(c *Client) *hub {
	return &hub{c: c, epoch: time.Now(), watches: map[*watch]struct{}{}}
}

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
	if h.conn != nil {
		h.create(h.conn, w)
	}
	return true
}

func (h *hub) remove(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.gone {
		return
	}
	if h.drop(w); h.conn != nil {
		h.conn.out.write(cancelMessage(w.id))
	}
}

// drop forgets a watch, and the stream with the last one.
func (h *hub) drop(w *watch) {
	w.gone = true
	delete(h.watches, w)
	if h.conn == nil {
		return
	}
	delete(h.conn.byID, w.id)
	if len(h.watches) == 0 {
		h.conn.abandoned = true
		h.conn.cancel(nil)
		h.conn = nil
	}
}

func (h *hub) create(cn *conn, w *watch) {
	h.lastID++
	w.id, w.standing, w.held = h.lastID, false, nil
	cn.byID[w.id] = w
	cn.creating = append(cn.creating, w)
	cn.out.write(createMessage(w.id, max(w.next, w.resume), w))
}

// run opens one stream after another for as long as there are watches.
func (h *hub) run() {
	pause := newBackoff()
	var paused time.Duration         // before the last stream
	unusable := map[*endpoint]bool{} // until somebody mends the set-up
	slow := 0                        // streams in a row whose answer did not come in time
	for h.wanted() {
		ep, began := h.c.eps.pick(), time.Now()
		stood, err := h.stream(ep, h.c.attemptTimeout(&call{repeat: true}, 1+slow/h.c.eps.size()))
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

// wanted tells whether a stream is needed; if not, run must end at once.
func (h *hub) wanted() bool {
	h.mu.Lock()
	if len(h.watches) > 0 && h.c.ctx.Err() == nil {
		h.mu.Unlock()
		return true
	}
	var left []*watch
	for w := range h.watches {
		h.drop(w)
		left = append(left, w)
	}
	h.running = false
	h.mu.Unlock()
	for _, w := range left {
		w.fn(WatchResponse{Err: &Error{Op: "watch", cause: ErrClosed}})
	}
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
	for _, w := range fresh {
		h.end(w, err)
	}
}

// end reports the end of a watch to its owner.
func (h *hub) end(w *watch, err error) {
	h.mu.Lock()
	gone := w.gone
	if !gone {
		h.drop(w)
	}
	h.mu.Unlock()
	if !gone {
		w.fn(WatchResponse{Err: err})
	}
}

// attach makes a stream the current one and asks for all watches on it. It reports false if none is left.
func (h *hub) attach(cn *conn, patience time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watches) == 0 {
		return false
	}
	h.conn = cn
	for w := range h.watches {
		h.create(cn, w)
	}
	cn.life = time.AfterFunc(patience, func() { h.checkLife(cn) })
	return true
}

func (h *hub) detach(cn *conn) (abandoned bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	cn.life.Stop()
	if h.conn == cn {
		h.conn = nil
	}
	return cn.abandoned
}

// checkLife runs when a stream has been silent. Any byte counts as life. A probe is a progress request, and, since etcd
// leaves that unanswered while any watch is catching up or begins in the future, a watch made and taken back.
func (h *hub) checkLife(cn *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != cn {
		return
	}
	reads := cn.reads.Load()
	silent := time.Since(h.epoch) - time.Duration(cn.heard.Load())
	switch {
	case !cn.opened, cn.probed && reads == cn.probedAt: // not by the time: this may run late
		cn.cancel(&Error{Op: "watch", Endpoint: cn.ep.url, Code: CodeUnavailable, cause: errStalled})
	case silent < streamSilence:
		cn.probed = false
		if now := time.Since(h.epoch); h.asked || now-cn.progressAt > progressEvery {
			cn.progressAt = now
			cn.out.write([]byte(progressMessage))
		}
		cn.life.Reset(streamSilence - silent)
	default:
		cn.probed, cn.probedAt = true, reads
		h.lastID++
		cn.creating = append(cn.creating, nil)
		cn.progressAt = time.Since(h.epoch)
		cn.out.write([]byte(progressMessage))
		cn.out.write(createMessage(h.lastID, 0, &watch{key: h.c.cfg.Namespace + "\x00"}))
		cn.out.write(cancelMessage(h.lastID))
		cn.life.Reset(streamSilence)
	}
}

// leave ends the stream to an endpoint if no event has come on it since a moment. Other bytes say nothing: a member that is
// cut off from the others confirms watches and answers probes.
func (h *hub) leave(ep *endpoint, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cn := h.conn; cn != nil && cn.ep == ep && cn.news < since.Sub(h.epoch) {
		cn.cancel(&Error{Op: "watch", Endpoint: ep.url, Code: CodeUnavailable, cause: errStalled})
	}
}

func (h *hub) heard(cn *conn) {
	cn.heard.Store(int64(time.Since(h.epoch)))
	cn.reads.Add(1)
}
