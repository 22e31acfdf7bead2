package fakeetcd

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

// mentions reports whether a base64 string of a body contains the text.
func mentions(body []byte, text string) bool {
	for word := range bytes.FieldsFuncSeq(body, func(r rune) bool { return r == '"' }) {
		if plain, err := base64.StdEncoding.DecodeString(string(word)); err == nil &&
			bytes.Contains(plain, []byte(text)) {
			return true
		}
	}
	return false
}

type stream struct {
	s       *Server
	watches map[int64]*watching
	queue   []watchAnswer // guarded, like watches, by the server's mu
	token   string
	more    chan struct{}
	ctx     context.Context //nolint:containedctx // the life of the stream
	cut     context.CancelFunc
	nextID  int64 // for a watch that does not choose its ID
}

// watching is one watch of a stream.
type watching struct {
	from, end         string
	start             int64 // the first revision that it reports; 0 is the next one
	noPuts, noDeletes bool
	ended             bool // by a compaction; the ID is free after a cancel
	prev              bool
}

func (w *watching) wants(o object) bool {
	filtered := w.noPuts
	if o.Version == 0 {
		filtered = w.noDeletes
	}
	return !w.ended && !filtered && o.Mod >= w.start && inRange(string(o.Key), w.from, w.end)
}

type event struct {
	Type string  `json:"type,omitempty"`
	KV   object  `json:"kv"`
	Prev *object `json:"prev_kv,omitempty"`
}

// watchAnswer is a message of a stream. One that reports a compaction has no revision in its
// header.
type watchAnswer struct {
	answer
	ID        int64   `json:"watch_id,omitempty,string"`
	Created   bool    `json:"created,omitempty"`
	Canceled  bool    `json:"canceled,omitempty"`
	Reason    string  `json:"cancel_reason,omitempty"`
	Compacted int64   `json:"compact_revision,omitempty,string"`
	Events    []event `json:"events,omitempty"`
}

// send queues a message.
func (st *stream) send(m watchAnswer) {
	m.Header = st.s.header()
	if m.Compacted != 0 {
		m.Header.Revision = 0
	}
	st.queue = append(st.queue, m)
	select {
	case st.more <- struct{}{}:
	default:
	}
}

// notify sends changes to the watches of the stream.
func (st *stream) notify(changes []object) {
	for id, w := range st.watches {
		st.report(id, w, changes)
	}
}

// report sends the changes that a watch wants, in one message.
func (st *stream) report(id int64, w *watching, changes []object) {
	var events []event
	for _, o := range changes {
		if w.wants(o) {
			events = append(events, st.event(w, o))
		}
	}
	st.s.sent += len(events)
	if len(events) > 0 {
		st.send(watchAnswer{ID: id, Events: events})
	}
}

func (st *stream) event(w *watching, o object) event {
	ev := event{KV: o}
	if o.Version == 0 {
		ev.Type = "DELETE"
	}
	before := o.Mod - 1
	if w.prev && o.Create != o.Mod && st.s.store.checkRevision(before) == nil {
		if prev, ok := st.s.store.at(string(o.Key), before); ok {
			ev.Prev = &prev
		}
	}
	return ev
}

// BreakWatches closes all watch streams. With refuse, it refuses new ones until the next call.
func (s *Server) BreakWatches(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noWatches = refuse
	for st := range s.streams {
		st.cut()
	}
}

// CompactWatches makes each new watch end as compacted, with any start revision, or with all false
// stops that.
func (s *Server) CompactWatches(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacting = all
}

// denied is the reason that etcd gives a user without permission.
const denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"

// DenyWatches ends all watches and rejects new ones, like for a user without permission, or with
// deny false accepts new ones again.
func (s *Server) DenyWatches(deny bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denying = deny
	if !deny {
		return
	}
	for st := range s.streams {
		for id := range st.watches {
			st.send(watchAnswer{ID: id, Canceled: true, Reason: denied})
		}
		clear(st.watches)
	}
}

// Watches returns the number of live watches.
func (s *Server) Watches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for st := range s.streams {
		for _, w := range st.watches {
			if !w.ended {
				n++
			}
		}
	}
	return n
}

// Events returns how many events were sent to watches.
func (s *Server) Events() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// ProgressRequests returns how often streams were asked for progress.
func (s *Server) ProgressRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}

func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	defer func() {
		// Without the deadline, the server would first read the rest of the request, which is
		// endless.
		_ = rc.SetReadDeadline(time.Unix(1, 0))
		panic(http.ErrAbortHandler) // closes the connection, which ends the reader
	}()
	if !s.gate() || !s.hear(r.Context()) || rc.EnableFullDuplex() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := &stream{
		s: s, token: r.Header.Get("Authorization"), ctx: ctx, watches: map[int64]*watching{},
		more: make(chan struct{}, 1), cut: cancel,
	}
	s.mu.Lock()
	refuse := s.noWatches
	if !refuse {
		s.streams[st] = struct{}{}
	}
	s.mu.Unlock()
	if refuse {
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.streams, st)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = rc.Flush()
	go func() {
		defer cancel()
		for decoder := json.NewDecoder(r.Body); st.read(decoder); {
		}
	}()
	st.write(json.NewEncoder(w), rc)
}

func (st *stream) write(w *json.Encoder, rc *http.ResponseController) {
	for {
		select {
		case <-st.more:
		case <-st.ctx.Done():
			return
		}
		if !st.s.gate() || !st.s.hear(st.ctx) {
			return
		}
		st.s.mu.Lock()
		queue := st.queue
		st.queue = nil
		st.s.mu.Unlock()
		for _, result := range queue {
			if w.Encode(fields{"result": result}) != nil {
				return
			}
		}
		if rc.Flush() != nil {
			return
		}
	}
}
