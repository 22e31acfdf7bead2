package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The messages of the watch stream, one a line.

type wireWatchCreate struct {
	Create struct {
		WatchID  int64  `json:"watch_id,string"`
		Key      []byte `json:"key"`
		RangeEnd []byte `json:"range_end,omitempty"`
		Start    int64  `json:"start_revision,omitempty,string"`
		PrevKV   bool   `json:"prev_kv,omitempty"`
		Fragment bool   `json:"fragment"`

		ProgressNotify bool     `json:"progress_notify,omitempty"`
		Filters        []string `json:"filters,omitempty"`
	} `json:"create_request"`
}

// createMessage asks for a watch, in fragments: what etcd cannot send in about 2 MB comes in parts.
func createMessage(id, start int64, w *watch) []byte {
	var m wireWatchCreate
	m.Create.WatchID, m.Create.Key, m.Create.RangeEnd = id, []byte(w.key), bytesOrNil(w.end)
	m.Create.Start, m.Create.PrevKV, m.Create.Fragment = start, w.prevKV, true
	m.Create.ProgressNotify = w.notify
	if w.noPut {
		m.Create.Filters = append(m.Create.Filters, "NOPUT")
	}
	if w.noDelete {
		m.Create.Filters = append(m.Create.Filters, "NODELETE")
	}
	line, _ := json.Marshal(m) // cannot fail
	return append(line, '\n')
}

const progressMessage = `{"progress_request":{}}` + "\n"

func cancelMessage(id int64) []byte {
	b := append([]byte(nil), `{"cancel_request":{"watch_id":"`...)
	return append(strconv.AppendInt(b, id, 10), "\"}}\n"...)
}

type wireWatchAnswer struct {
	Header          wireHeader  `json:"header"`
	WatchID         number      `json:"watch_id"`
	Created         bool        `json:"created"`
	Canceled        bool        `json:"canceled"`
	CancelReason    string      `json:"cancel_reason"`
	CompactRevision number      `json:"compact_revision"`
	Fragment        bool        `json:"fragment"`
	Events          []wireEvent `json:"events"`
}

type wireEvent struct {
	Type   string  `json:"type"`
	KV     wireKV  `json:"kv"`
	PrevKV *wireKV `json:"prev_kv"`
}

func (w wireEvent) public(ns int) (Event, error) {
	kv, err := w.KV.public(ns)
	if err != nil {
		return Event{}, err
	}
	ev := Event{Deleted: w.Type == "DELETE", KV: kv}
	if w.PrevKV != nil {
		prev, err := w.PrevKV.public(ns)
		if err != nil {
			return Event{}, err
		}
		ev.PrevKV = &prev
	}
	return ev, nil
}

// handle acts on one message. An error ends the stream, not the watches on it.
func (h *hub) handle(ctx context.Context, cn *conn, line []byte) error {
	var m struct {
		Result *wireWatchAnswer `json:"result"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return protocolError("watch", cn.ep, line, err)
	}
	if m.Result == nil {
		err := lineError(line)
		if e, ok := err.(*Error); ok { //nolint:errorlint // made just now
			e.Op, e.Endpoint = "watch", cn.ep.url
			return e
		}
		return protocolError("watch", cn.ep, line, err)
	}
	if err := h.c.saw(m.Result.Header, 0, false); err != nil {
		return &Error{Op: "watch", Endpoint: cn.ep.url, cause: err}
	}
	switch {
	case m.Result.Created:
		return h.created(cn, m.Result)
	case m.Result.Canceled:
		return h.canceled(cn, m.Result)
	case len(m.Result.Events) > 0:
		if err := h.events(cn, m.Result); err != nil {
			return protocolError("watch", cn.ep, line, err)
		}
	default:
		h.progress(ctx, cn, m.Result)
	}
	return nil
}

// created answers the oldest create that is out. A refused one has no ID to know it by.
func (h *hub) created(cn *conn, a *wireWatchAnswer) error {
	h.mu.Lock()
	if len(cn.creating) == 0 {
		h.mu.Unlock()
		return &Error{Op: "watch", Endpoint: cn.ep.url, Code: CodeInternal, cause: fmt.Errorf("%w: a watch nobody asked for", ErrProtocol)}
	}
	w := cn.creating[0]
	cn.creating = cn.creating[1:]
	if w == nil || w.gone {
		h.mu.Unlock()
		return nil
	}
	if a.Canceled {
		h.mu.Unlock()
		e := cancelError(cn, a.CancelReason)
		if e.aboutToken() || e.elsewhere() {
			return e
		}
		h.end(w, e)
		return nil
	}
	if int64(a.WatchID) != w.id {
		h.mu.Unlock()
		return &Error{Op: "watch", Endpoint: cn.ep.url, Code: CodeInternal, cause: fmt.Errorf("%w: a watch under another ID", ErrProtocol)}
	}
	first := !w.announced
	w.standing, w.announced, cn.stood = true, true, true
	if w.next == 0 {
		w.next = int64(a.Header.Revision) + 1
	}
	h.mu.Unlock()
	if first {
		w.fn(WatchResponse{Created: true, Revision: int64(a.Header.Revision)})
	}
	return nil
}

func (h *hub) canceled(cn *conn, a *wireWatchAnswer) error {
	h.mu.Lock()
	w := cn.byID[int64(a.WatchID)]
	h.mu.Unlock()
	if w == nil {
		return nil // the answer to our own cancel
	}
	if a.CompactRevision > 0 {
		h.end(w, &Error{
			Op: "watch", Endpoint: cn.ep.url, Code: CodeOutOfRange, CompactRevision: int64(a.CompactRevision),
			Message: fmt.Sprintf("history before revision %d has been compacted", int64(a.CompactRevision)),
		})
		return nil
	}
	e := cancelError(cn, a.CancelReason)
	if e.aboutToken() || e.elsewhere() {
		return e
	}
	h.end(w, e)
	return nil
}

// cancelError reads "rpc error: code = PermissionDenied desc = etcdserver: permission denied".
func cancelError(cn *conn, reason string) *Error {
	e := &Error{Op: "watch", Endpoint: cn.ep.url, Code: CodeUnavailable, Message: clean(reason)}
	_, rest, _ := strings.Cut(reason, "code = ")
	name, desc, _ := strings.Cut(rest, " desc = ")
	codes := map[string]Code{
		"PermissionDenied": CodePermissionDenied, "Unauthenticated": CodeUnauthenticated, "InvalidArgument": CodeInvalidArgument,
	}
	if code, ok := codes[name]; ok {
		e.Code, e.Message = code, clean(desc)
	}
	return e
}

// events delivers what has come for one watch. A revision is delivered whole, though it may come in fragments: if the
// stream broke in between, the watch could not be resumed inside it.
func (h *hub) events(cn *conn, a *wireWatchAnswer) error {
	h.mu.Lock()
	w := cn.byID[int64(a.WatchID)]
	if w == nil {
		h.mu.Unlock()
		return nil // taken back meanwhile
	}
	batch := w.held
	w.held = nil
	for i := range a.Events {
		ev, err := a.Events[i].public(len(h.c.cfg.Namespace))
		if err != nil {
			h.mu.Unlock()
			return err
		}
		if ev.KV.ModRevision >= w.next {
			batch = append(batch, ev)
		}
	}
	if a.Fragment && len(batch) > 0 {
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
	return nil
}
