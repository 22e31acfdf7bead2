package gateway

import (
	"context"
	"math"
	"sync"
	"time"
)

// watchmux carries all watches of a client over one endpoint, on one stream or on several, until
// the endpoint fails or no watch is left. The goroutine that runs the hub supervises it: step
// handles everything that is due. Each stream has a goroutine of its own, which reads and calls the
// watches' owners. All but the first fields are guarded by hub.mu.
type watchmux struct {
	h        *hub
	ep       *endpoint
	patience time.Duration   // the time limit of a stream's first answer
	ctx      context.Context //nolint:containedctx // the life of the watchmux itself
	cancel   context.CancelCauseFunc
	streams  sync.WaitGroup
	wake     chan struct{} // something has changed that step has to handle

	mode mode
	// tried holds when a mode was tried since creates were unanswered; 0: not.
	tried   [polling + 1]time.Duration
	passed  [polling + 1]bool // the modes that a trial has shown to work
	conns   map[*conn]struct{}
	shared  *conn    // accepts creates at any time; nil in other modes
	fresh   []*watch // not confirmed yet, and on no stream: for finite streams and polls
	waiting []*watch // confirmed once, and on no stream

	main, confirming *conn         // the polls under way
	pollAt           time.Duration // when the next poll of each kind may begin
	confirmAt        time.Duration

	stood       bool          // a watch was confirmed
	abandoned   bool          // no watch was left
	rev         int64         // the highest revision that any stream has shown,
	revAt       time.Duration // and when
	asksVersion bool
	ordered     bool // progress answers are known to be in order with events

	seen   [3]int64 // the revision that the client had seen at the last ticks
	ticked time.Duration
	since  time.Duration // when it began
	// lagging says that a stream that is behind counts as a failure of the endpoint.
	lagging bool
	opened  bool // an answer has begun
}

// never is later than any time of the hub's clock.
const never = time.Duration(math.MaxInt64)

func newWatchmux(h *hub, ep *endpoint, patience time.Duration) *watchmux {
	m := &watchmux{
		h: h, ep: ep, patience: patience,
		wake: make(chan struct{}, 1), conns: map[*conn]struct{}{},
	}
	m.ctx, m.cancel = context.WithCancelCause(h.c.ctx)
	return m
}

// run carries the watches until the end of the watchmux, and reports whether a watch was confirmed.
// A nil error means that no watch was left.
func (m *watchmux) run() (stood bool, _ *Error) {
	defer m.cancel(nil)
	opening, opened := context.WithTimeout(m.ctx, 2*m.h.c.cfg.AttemptTimeout)
	_, err := m.h.c.auth.tokenFor(opening, &call{op: "watch"})
	opened()
	if err != nil {
		return false, streamError(m.ctx, m.ep, err)
	}
	if !m.start() {
		return false, nil
	}
	timer := time.NewTimer(time.Hour) // set before each use
	defer timer.Stop()
	for m.ctx.Err() == nil {
		due := m.step()
		timer.Reset(min(due, m.h.report(m)))
		select {
		case <-timer.C:
		case <-m.wake:
		case <-m.ctx.Done():
		}
	}
	m.streams.Wait()
	return m.finish()
}

// start begins in the mode that is known to work on this path, or else in the best. It reports
// false if no watch is left.
func (m *watchmux) start() bool {
	h := m.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watches) == 0 {
		return false
	}
	if h.c.eps.find(m.ep.url) != m.ep { // SetEndpoints came between, and found nothing to end
		const message = "no longer an endpoint"
		m.fail(&Error{Op: "watch", Endpoint: m.ep.url, Code: CodeUnavailable, Message: message})
		return true
	}
	h.mux = m
	now := h.now()
	m.mode = max(shared, mode(m.ep.mode.Load()))
	m.lagging = h.behind < h.c.eps.size()
	for i := range m.seen {
		m.seen[i] = 0
	}
	m.ticked, m.since, m.revAt = now, now, 0
	if m.mode == shared {
		cn := m.newConn(shared, now)
		m.open(cn)
		m.adopt(cn, now)
		return true
	}
	for w := range h.watches {
		m.homeless(w)
	}
	return true
}

// finish removes all watches from the streams, which have ended.
func (m *watchmux) finish() (stood bool, _ *Error) {
	h := m.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mux == m {
		h.mux = nil
		for w := range h.watches {
			w.place, w.asked, w.held = nil, nil, nil
		}
	}
	if m.abandoned {
		return m.stood, nil
	}
	return m.stood, streamError(m.ctx, m.ep, context.Cause(m.ctx))
}

// step does everything that is due, and returns the time until it has to be called again.
func (m *watchmux) step() time.Duration {
	h := m.h
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	due := m.tick(now)
	due = min(due, m.judge(now))
	switch m.mode {
	case unknown, shared:
	case finite:
		due = min(due, m.placeFinite(now))
	case polling:
		due = min(due, m.placePolls(now))
	}
	due = min(due, m.checkLife(now))
	return max(0, due-now)
}

// firstAnswer reports whether no answer had begun before.
func (m *watchmux) firstAnswer() bool {
	m.h.mu.Lock()
	defer m.h.mu.Unlock()
	first := !m.opened
	m.opened = true
	return first
}

func (m *watchmux) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// fail ends the watchmux. The first cause counts.
func (m *watchmux) fail(err *Error) { m.cancel(err) }

func (m *watchmux) stalled() *Error {
	return &Error{Op: "watch", Endpoint: m.ep.url, Code: CodeUnavailable, cause: errStalled}
}

// homeless queues a watch that needs a stream.
func (m *watchmux) homeless(w *watch) {
	if w.announced {
		m.waiting = append(m.waiting, w)
	} else {
		m.fresh = append(m.fresh, w)
	}
}

// place is a watch on one stream, confirmed or requested.
type place struct {
	cn    *conn
	w     *watch // nil: a probe
	id    int64
	start int64         // the requested revision; 0: from now
	at    time.Duration // when, since hub.epoch
	known int64         // the revision that the client had seen then
	floor int64         // the member lags if its answer shows a lower revision
}

// on reports whether a watch is confirmed or requested on a stream.
func (w *watch) on(cn *conn) bool {
	if w.place != nil && w.place.cn == cn {
		return true
	}
	for _, p := range w.asked {
		if p.cn == cn {
			return true
		}
	}
	return false
}

// in reports whether a watch is confirmed or requested on any stream of a mode.
func (w *watch) in(as mode) bool {
	if w.place != nil && w.place.cn.mode == as {
		return true
	}
	for _, p := range w.asked {
		if p.cn.mode == as {
			return true
		}
	}
	return false
}

// ask writes the create of a watch to a stream.
func (m *watchmux) ask(cn *conn, w *watch, now time.Duration) *place {
	m.h.lastID++
	p := &place{
		cn: cn, w: w, id: m.h.lastID, start: max(w.next, w.resume),
		at: now, known: m.h.c.revision.Load(),
	}
	if from := min(p.known, max(p.start, 1)); p.start > 0 && (cn.from == 0 || from < cn.from) {
		cn.from = from
	} else if cn.from == 0 {
		cn.from = p.known
	}
	cn.places[p.id] = p
	cn.asked = append(cn.asked, p)
	w.asked = append(w.asked, p)
	cn.write(createMessage(p.id, p.start, w))
	return p
}

// askProbe writes a create to a stream whose only use is its answer.
func (m *watchmux) askProbe(cn *conn, now time.Duration, floor int64) (id int64) {
	m.h.lastID++
	cn.asked = append(cn.asked, &place{cn: cn, at: now, known: m.h.c.revision.Load(), floor: floor})
	cn.write(createMessage(m.h.lastID, 0, &watch{key: m.h.c.cfg.Namespace + "\x00"}))
	return m.h.lastID
}

// settle makes a confirmed place the one from which a watch is delivered. It reports false if the
// watch has a better one, or would miss events there.
func (m *watchmux) settle(p *place, rev int64) bool {
	w := p.w
	w.unask(p)
	missed := p.start == 0 && w.next > 0 && rev >= w.next
	if old := w.place; missed || old != nil && !m.supersedes(p.cn, old.cn) {
		if missed && p.cn == m.shared {
			m.ask(p.cn, w, m.h.now())
		}
		m.vacate(p, true)
		switch {
		case w.place != nil:
			w.place.cn.renewed = false // it stays, and must be renewed later
		case len(w.asked) == 0:
			m.homeless(w)
			m.signal()
		}
		return false
	}
	if old := w.place; old != nil {
		m.vacate(old, true)
	}
	w.place, w.held = p, nil
	return true
}

func (m *watchmux) supersedes(cn, old *conn) bool {
	if cn.mode == m.mode && old.mode == m.mode {
		return cn.began >= old.began
	}
	return cn.mode == m.mode || cn.mode < old.mode
}

func (w *watch) unask(p *place) {
	for i, q := range w.asked {
		if q == p {
			w.asked = append(w.asked[:i], w.asked[i+1:]...)
			break
		}
	}
	if len(w.asked) == 0 {
		w.asked = nil
	}
}

// vacate removes a watch from a stream, and ends the stream with its last one.
func (m *watchmux) vacate(p *place, cancel bool) {
	delete(p.cn.places, p.id)
	if cancel && p.cn.mode == shared {
		p.cn.write(cancelMessage(p.id))
	}
	if p.w.place == p {
		p.w.place = nil
	}
	if len(p.cn.places) == 0 && !p.cn.latecomer {
		m.abandon(p.cn)
	}
}

// forget removes a watch from all streams.
func (m *watchmux) forget(w *watch, cancel bool) {
	for _, p := range w.asked {
		m.vacate(p, cancel)
	}
	w.asked = nil
	if w.place != nil {
		m.vacate(w.place, cancel)
	}
}

// abandon ends a stream that is no longer needed.
func (m *watchmux) abandon(cn *conn) {
	cn.abandoned = true
	cn.cancel(nil)
	m.remove(cn)
}

// remove forgets a stream that has ended. Watches that are on no other one of the mode in use are
// to be put on the next.
func (m *watchmux) remove(cn *conn) {
	delete(m.conns, cn)
	m.ep.path.learn(cn)
	for _, p := range cn.places {
		if p.w.place == p {
			p.w.place = nil
		} else {
			p.w.unask(p)
		}
		if p.w.place == nil && !p.w.in(m.mode) { // one of another mode may never answer
			m.homeless(p.w)
		}
	}
	clear(cn.places)
	switch cn {
	case m.shared:
		m.shared = nil
	case m.main:
		m.main = nil
	case m.confirming:
		m.confirming = nil
	}
	m.signal()
}
