package fakeetcd

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

type watchMessage struct {
	Create *watchCreate `json:"create_request"`
	Cancel *struct {
		ID etcdjson.Int64 `json:"watch_id"`
	} `json:"cancel_request"`
	Progress *struct{} `json:"progress_request"`
}

type watchCreate struct {
	ID      etcdjson.Int64 `json:"watch_id"`
	Key     etcdjson.Bytes `json:"key"`
	End     etcdjson.Bytes `json:"range_end"`
	Start   etcdjson.Int64 `json:"start_revision"`
	Filters []string       `json:"filters"`
	PrevKV  bool           `json:"prev_kv"`
}

// invalid is the ID in messages that are about no watch.
const invalid = -1

// read handles the next message of the client. It returns false after the last one.
func (st *stream) read(decoder *json.Decoder) bool {
	var m watchMessage
	if decoder.Decode(&m) != nil || !st.s.gate() || !st.s.hear(st.ctx) {
		return false
	}
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	switch {
	case m.Create != nil:
		st.create(m.Create)
	case m.Cancel != nil:
		id := int64(m.Cancel.ID)
		if st.watches[id] != nil {
			delete(st.watches, id)
			st.send(watchAnswer{ID: id, Canceled: true})
		}
	case m.Progress != nil:
		st.s.progress++
		st.progress()
	}
	return true
}

func (st *stream) create(r *watchCreate) {
	s := st.s
	from, end := cmp.Or(string(r.Key), "\x00"), string(r.End)
	id := int64(r.ID)
	refused := st.mayWatch(from, end)
	switch {
	case s.denying:
		st.refuse(denied)
		return
	case refused != nil:
		st.refuse(refused.reason())
		return
	case end != "" && end != "\x00" && from >= end:
		st.refuse("mvcc: watcher range is empty")
		return
	case id == 0:
		for st.watches[st.nextID] != nil {
			st.nextID++
		}
		id = st.nextID
		st.nextID++
	case st.watches[id] != nil:
		st.refuse("mvcc: duplicate watch ID provided on the WatchStream")
		return
	}
	st.send(watchAnswer{ID: id, Created: true})
	w := &watching{
		from: from, end: end, start: int64(r.Start), prev: r.PrevKV,
		noPuts:    slices.Contains(r.Filters, "NOPUT"),
		noDeletes: slices.Contains(r.Filters, "NODELETE"),
	}
	st.watches[id] = w
	switch {
	case s.compacting || w.start > 0 && w.start < s.store.compacted:
		w.ended = true
		st.send(watchAnswer{ID: id, Canceled: true, Compacted: max(s.store.compacted, 1)})
	case w.start > 0:
		st.report(id, w, s.store.log)
	}
}

// mayWatch returns the error of a user who may not read the keys, or nil.
func (st *stream) mayWatch(from, end string) *refusal {
	u, err := st.s.auth.whoIs(st.token)
	if err == nil {
		err = st.s.auth.may(u, false, from, end)
	}
	r, _ := errors.AsType[*refusal](err)
	return r
}

// refuse answers a create that is not accepted.
func (st *stream) refuse(reason string) {
	st.send(watchAnswer{ID: invalid, Created: true, Canceled: true, Reason: reason})
}

// progress reports the revision that the stream has reached. Etcd is silent while the stream has no
// watch, one that begins at a later revision, or one that a compaction has ended.
func (st *stream) progress() {
	for _, w := range st.watches {
		if w.ended || w.start > st.s.store.rev {
			return
		}
	}
	if len(st.watches) > 0 {
		st.send(watchAnswer{ID: invalid})
	}
}
