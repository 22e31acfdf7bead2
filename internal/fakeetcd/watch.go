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
	queue   []fields // guarded, like watches, by the server's mu
	more    chan struct{}
	cut     context.CancelFunc
}

type watching struct {
	from, end string
	next      int64
}

func (st *stream) send(result fields) {
	result["header"] = st.s.header()
	st.queue = append(st.queue, result)
	select {
	case st.more <- struct{}{}:
	default:
	}
}

func (st *stream) tell(events []event) {
	for id, w := range st.watches {
		var own []event
		for _, ev := range events {
			if ev.KV.Mod >= w.next && inRange(string(ev.KV.Key), w.from, w.end) {
				own = append(own, ev)
			}
		}
		st.s.sent += len(own)
		if len(own) > 0 {
			st.send(fields{"watch_id": id, "events": own})
		}
	}
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
			st.send(fields{"watch_id": id, "canceled": true, "cancel_reason": denied})
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
		n += len(st.watches)
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
	if !s.gate() || rc.EnableFullDuplex() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := &stream{s: s, watches: map[int64]*watching{}, more: make(chan struct{}, 1), cut: cancel}
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
	st.write(ctx, json.NewEncoder(w), rc)
}

func (st *stream) write(ctx context.Context, w *json.Encoder, rc *http.ResponseController) {
	for {
		select {
		case <-st.more:
		case <-ctx.Done():
			return
		}
		if !st.s.gate() {
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

func (st *stream) read(decoder *json.Decoder) bool {
	var m struct {
		Create *struct {
			ID    int64  `json:"watch_id,string"`
			Key   []byte `json:"key"`
			End   []byte `json:"range_end"`
			Start int64  `json:"start_revision,string"`
		} `json:"create_request"`
		Cancel *struct {
			ID int64 `json:"watch_id,string"`
		} `json:"cancel_request"`
		Progress *struct{} `json:"progress_request"`
	}
	if decoder.Decode(&m) != nil || !st.s.gate() {
		return false
	}
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Create != nil:
		if s.denying {
			st.send(fields{
				"watch_id": -1, "created": true, "canceled": true, "cancel_reason": denied,
			})
			return true
		}
		w := &watching{string(m.Create.Key), string(m.Create.End), m.Create.Start}
		st.send(fields{"watch_id": m.Create.ID, "created": true})
		if s.compacting || w.next > 0 && w.next <= s.store.compacted {
			st.send(fields{
				"watch_id": m.Create.ID, "canceled": true,
				"compact_revision": max(s.store.compacted, 1),
			})
			return true
		}
		st.watches[m.Create.ID] = w
		if w.next > 0 {
			only := stream{s: s, watches: map[int64]*watching{m.Create.ID: w}, more: st.more}
			only.tell(s.store.log)
			st.queue = append(st.queue, only.queue...)
		}
	case m.Cancel != nil:
		if st.watches[m.Cancel.ID] != nil {
			delete(st.watches, m.Cancel.ID)
			st.send(fields{"watch_id": m.Cancel.ID, "canceled": true})
		}
	case m.Progress != nil:
		s.progress++
		st.send(fields{"watch_id": -1})
	}
	return true
}
