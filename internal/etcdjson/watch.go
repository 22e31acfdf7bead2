package etcdjson

import (
	"encoding/json"
	"strconv"
)

// The messages of the watch stream have one line each.

// WatchProgress requests the revision that the stream has reached.
const WatchProgress = `{"progress_request":{}}` + "\n"

// WatchCreate requests a watch with fragments, so that etcd splits messages larger than about 2 MB.
type WatchCreate struct {
	ID, Start int64
	Key, End  string
	PrevKV    bool
	Notify    bool
	NoPut     bool
	NoDelete  bool
}

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

// Line returns the message as a line.
func (c *WatchCreate) Line() []byte {
	var m wireWatchCreate
	m.Create.WatchID, m.Create.Key = c.ID, []byte(c.Key)
	if c.End != "" {
		m.Create.RangeEnd = []byte(c.End)
	}
	m.Create.Start, m.Create.PrevKV, m.Create.Fragment = c.Start, c.PrevKV, true
	m.Create.ProgressNotify = c.Notify
	if c.NoPut {
		m.Create.Filters = append(m.Create.Filters, "NOPUT")
	}
	if c.NoDelete {
		m.Create.Filters = append(m.Create.Filters, "NODELETE")
	}
	line, _ := json.Marshal(m) // cannot fail
	return append(line, '\n')
}

// WatchCancel returns the message that ends a watch.
func WatchCancel(id int64) []byte {
	b := append([]byte(nil), `{"cancel_request":{"watch_id":"`...)
	return append(strconv.AppendInt(b, id, 10), "\"}}\n"...)
}

// WatchAnswer is one message of the server, without its events.
type WatchAnswer struct {
	Header          Header
	WatchID         int64
	Created         bool
	Canceled        bool
	CancelReason    string
	CompactRevision int64
	Fragment        bool
}

// Event is one change of a key.
type Event struct {
	Deleted bool
	KV      KeyValue
	HasPrev bool
	Prev    KeyValue
}

// Watch reads a message. It calls event for each event, which must read it with [Reader.Event]. It
// reports whether the message has a "result", which errors and other messages do not have.
func (r *Reader) Watch(a *WatchAnswer, event func()) (ok bool) {
	return r.result(func() { r.watch(a, event) })
}

// result reads a message of a stream. It calls read for the "result", and reports whether there is
// one.
func (r *Reader) result(read func()) (ok bool) {
	r.object(func(name []byte) {
		switch {
		case r.null():
		case string(name) == "result":
			ok = true
			read()
		default:
			r.skip()
		}
	})
	return ok
}

func (r *Reader) watch(a *WatchAnswer, event func()) {
	r.object(func(name []byte) {
		switch string(name) {
		case "header":
			r.header(&a.Header)
		case "watch_id":
			a.WatchID = r.int()
		case "created":
			a.Created = r.bool()
		case "canceled":
			a.Canceled = r.bool()
		case "cancel_reason":
			a.CancelReason = r.string()
		case "compact_revision":
			a.CompactRevision = r.int()
		case "fragment":
			a.Fragment = r.bool()
		case "events":
			r.list(event)
		default:
			r.skip()
		}
	})
}

// Event reads one event.
func (r *Reader) Event(ev *Event) {
	*ev = Event{}
	r.object(func(name []byte) {
		switch string(name) {
		case "type":
			ev.Deleted = string(r.text()) == "DELETE"
		case "kv":
			r.KeyValue(&ev.KV)
		case "prev_kv":
			if ev.HasPrev = !r.null(); ev.HasPrev {
				r.KeyValue(&ev.Prev)
			}
		default:
			r.skip()
		}
	})
}
