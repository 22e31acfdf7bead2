package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// createMessage creates a watch.
func createMessage(id, start int64, w *watch) []byte {
	m := etcdjson.WatchCreate{
		ID: id, Start: start, Key: w.key, End: w.end, PrevKV: w.prevKV,
		Notify: w.notify, NoPut: w.noPut, NoDelete: w.noDelete,
	}
	return m.Line()
}

const progressMessage = etcdjson.WatchProgress

func cancelMessage(id int64) []byte { return etcdjson.WatchCancel(id) }

// handle handles one message. An error ends the stream, not the watches on it. Messages are handled
// one after the other, across all streams, so that the events of a watch that moves between streams
// keep their order.
func (h *hub) handle(cn *conn, line []byte) error {
	d := h.c.newDecoder(line)
	a := d.watchLine()
	ep := cn.m.ep
	if err := d.End(); err != nil {
		return protocolError("watch", ep, line, err)
	}
	if a == nil {
		err := lineError(line)
		e, ok := err.(*Error) //nolint:errorlint // made just now
		switch {
		case !ok:
			return protocolError("watch", ep, line, err)
		case cn.timeout > 0 && e.Code == CodeDeadlineExceeded:
			return errOver
		}
		e.Op, e.Endpoint = "watch", ep.url
		return e
	}
	if err := h.c.saw(a.wire(), 0, false); err != nil {
		return &Error{Op: "watch", Endpoint: ep.url, cause: err}
	}
	if a.MemberID != 0 {
		ep.member.Store(a.MemberID)
	}
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	switch {
	case a.created:
		return h.created(cn, a)
	case a.canceled:
		return h.canceled(cn, a)
	case len(a.events) > 0:
		h.events(cn, a)
	default:
		h.progress(cn, a)
	}
	return nil
}

// created handles the answer to the oldest unanswered create. A rejected one has no ID, so the
// order identifies it.
func (h *hub) created(cn *conn, a *watchAnswer) error {
	h.mu.Lock()
	if len(cn.asked) == 0 {
		h.mu.Unlock()
		return &Error{
			Op: "watch", Endpoint: cn.m.ep.url, Code: CodeInternal,
			cause: fmt.Errorf("%w: a watch nobody asked for", ErrProtocol),
		}
	}
	p := cn.asked[0]
	cn.asked = cn.asked[1:]
	cn.confirmed(p, a.Revision)
	behind := p.floor > 0 && a.Revision > 0 && a.Revision < p.floor && cn.m.lagging
	w := p.w
	switch {
	case behind:
		h.mu.Unlock()
		return &Error{Op: "watch", Endpoint: cn.m.ep.url, Code: CodeUnavailable, cause: errBehind}
	case w == nil, cn.places[p.id] != p: // a probe, or canceled meanwhile
		h.mu.Unlock()
		return nil
	case a.canceled:
		h.mu.Unlock()
		e := cancelError(cn, a.reason)
		if e.aboutToken() || e.elsewhere() {
			return e
		}
		h.end(w, e)
		return nil
	case a.watchID != p.id:
		h.mu.Unlock()
		return &Error{
			Op: "watch", Endpoint: cn.m.ep.url, Code: CodeInternal,
			cause: fmt.Errorf("%w: a watch under another ID", ErrProtocol),
		}
	}
	first := !w.announced
	cn.m.stood = true
	if !cn.m.settle(p, a.Revision) {
		h.mu.Unlock()
		return nil
	}
	w.announced = true
	if w.next == 0 {
		w.next = a.Revision + 1
		w.began = h.now()
	}
	h.mu.Unlock()
	if first {
		w.fn(WatchResponse{Created: true, Revision: a.Revision})
	}
	return nil
}

func (h *hub) canceled(cn *conn, a *watchAnswer) error {
	h.mu.Lock()
	p := cn.places[a.watchID]
	stale := p == nil || p.w.place != p
	h.mu.Unlock()
	if stale {
		return nil // the answer to our own cancel
	}
	if a.compacted > 0 {
		h.endCompacted(p.w, &Error{
			Op: "watch", Endpoint: cn.m.ep.url, Code: CodeOutOfRange, CompactRevision: a.compacted,
			Message: fmt.Sprintf("history before revision %d has been compacted", a.compacted),
		})
		return nil
	}
	e := cancelError(cn, a.reason)
	if e.aboutToken() || e.elsewhere() {
		return e
	}
	h.end(p.w, e)
	return nil
}

// minWatch is the least time that a watch from now on lasts.
const minWatch = time.Second

// endCompacted ends a watch whose history was compacted. A watch from now on does not end so at
// once, so its owner may begin the next one without a pause. If it does all the same, the owner is
// notified only after minWatch.
func (h *hub) endCompacted(w *watch, err error) {
	h.mu.Lock()
	left := w.began + minWatch - h.now()
	soon := w.began > 0 && left > 0
	h.mu.Unlock()
	if !soon {
		h.end(w, err)
		return
	}
	h.c.spawn(func() {
		if sleep(h.c.ctx, left) { // or the end of the client ends the watch
			h.exclusively(func() { h.end(w, err) })
		}
	})
}

// cancelError reads "rpc error: code = PermissionDenied desc = etcdserver: permission denied".
func cancelError(cn *conn, reason string) *Error {
	e := &Error{Op: "watch", Endpoint: cn.m.ep.url, Code: CodeUnavailable, Message: clean(reason)}
	_, rest, _ := strings.Cut(reason, "code = ")
	name, desc, _ := strings.Cut(rest, " desc = ")
	codes := map[string]Code{
		"PermissionDenied": CodePermissionDenied, "Unauthenticated": CodeUnauthenticated,
		"InvalidArgument": CodeInvalidArgument,
	}
	if code, ok := codes[name]; ok {
		e.Code, e.Message = code, clean(desc)
	}
	return e
}

// events delivers the events of one watch. A revision is delivered whole, though it may arrive in
// fragments, because a watch could not be resumed inside of it.
func (h *hub) events(cn *conn, a *watchAnswer) {
	h.mu.Lock()
	cn.shows(max(a.Revision, a.events[len(a.events)-1].KV.ModRevision))
	p := cn.places[a.watchID]
	if p == nil || p.w.place != p && p.w.place != nil {
		h.mu.Unlock()
		return // canceled meanwhile, or delivered from elsewhere
	}
	w := p.w
	batch := w.held
	w.held = nil
	for _, ev := range a.events {
		if ev.KV.ModRevision >= w.next {
			batch = append(batch, ev)
		}
	}
	if a.fragment && len(batch) > 0 {
		last := batch[len(batch)-1].KV.ModRevision
		cut := len(batch)
		for cut > 0 && batch[cut-1].KV.ModRevision == last {
			cut--
		}
		w.held = append([]Event(nil), batch[cut:]...)
		batch = batch[:cut]
	}
	if len(batch) > 0 {
		w.next = batch[len(batch)-1].KV.ModRevision + 1
	}
	h.mu.Unlock()
	if len(batch) > 0 {
		w.fn(WatchResponse{Events: batch, Revision: batch[len(batch)-1].KV.ModRevision})
	}
}
