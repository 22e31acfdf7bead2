package page

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

// pause is the time between two updates of a page. Changes in between become one.
const pause = 200 * time.Millisecond

// heartbeat is the longest time without a message to a page, so that a connection that is cut is
// noticed.
const heartbeat = 10 * time.Second

// writeLimit is how long a page may take to receive an answer, or an update.
const writeLimit = 20 * time.Second

// update is the difference between the state of a page and the picture.
type update struct {
	Full       bool          `json:"full,omitempty"` // replaces the state of the page
	Hello      *hello        `json:"hello,omitempty"`
	Time       int64         `json:"time"`
	Revision   int64         `json:"revision"`
	Names      []wireName    `json:"names"`
	Gone       []string      `json:"gone,omitempty"`
	Sessions   []wireSession `json:"sessions"`
	Ended      []string      `json:"ended,omitempty"`
	Cycles     [][]wireWait  `json:"cycles"`
	Notes      []string      `json:"notes,omitempty"`
	Problem    string        `json:"problem,omitempty"`
	ProblemFor int64         `json:"problemFor,omitempty"`
}

// hello is sent once to each page.
type hello struct {
	Prefix     string `json:"prefix"`
	AllowBreak bool   `json:"allowBreak"`
	CSRF       string `json:"csrf,omitempty"`
}

// updateOf returns the update from one snapshot to another. before may be nil.
func updateOf(before, after *board.Snapshot) update {
	d := board.Diff(before, after)
	u := update{
		Full: before == nil, Time: time.Now().UnixMilli(), Revision: after.Revision,
		Names:    make([]wireName, 0, len(d.Names)),
		Sessions: make([]wireSession, 0, len(d.Sessions)),
		Cycles:   cyclesOf(after.Cycles), Notes: after.Notes,
	}
	for _, n := range d.Names {
		u.Names = append(u.Names, nameOf(n, shownMembers))
	}
	for _, name := range d.Gone {
		u.Gone = append(u.Gone, idOf(name))
	}
	for _, s := range d.Sessions {
		u.Sessions = append(u.Sessions, sessionOf(s))
	}
	for _, lease := range d.Ended {
		u.Ended = append(u.Ended, lease.String())
	}
	if after.Problem != nil {
		u.Problem = cut(after.Problem.Error(), maxText)
		u.ProblemFor = time.Since(after.ProblemSince).Milliseconds()
	}
	return u
}

// events streams the picture to a page: all of it, and then the differences.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.open <- struct{}{}:
		defer func() { <-s.open }()
	default:
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	ctx := r.Context()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	if err := out.SetReadDeadline(time.Time{}); err != nil { // the server's limit is for requests
		return
	}
	var before *board.Snapshot
	for after := s.opt.Board.Snapshot(); ; {
		u := updateOf(before, after)
		if before == nil {
			u.Hello = &hello{Prefix: cut(s.opt.Prefix, maxName), AllowBreak: s.opt.AllowBreak}
			if s.opt.AllowBreak {
				u.Hello.CSRF = s.csrf
			}
		}
		if send(w, out, u) != nil {
			return // the page has gone
		}
		before = after
		if !sleep(ctx, pause) {
			return
		}
		waiting, stop := context.WithTimeout(ctx, heartbeat)
		next, err := s.opt.Board.Next(waiting, before)
		stop()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			after = next
		}
	}
}

// send writes one message of the stream.
func send(w http.ResponseWriter, out *http.ResponseController, u update) error {
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := out.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if _, err := w.Write(append(append([]byte("data: "), text...), "\n\n"...)); err != nil {
		return err
	}
	return out.Flush()
}

// sleep waits for d. It returns false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// find returns the name with an ID, or nil.
func (s *Server) find(id string) *board.Name {
	for _, n := range s.opt.Board.Snapshot().Names {
		if idOf(n.Name) == id {
			return n
		}
	}
	return nil
}

// name answers with all members of one name.
func (s *Server) name(w http.ResponseWriter, r *http.Request) {
	n := s.find(r.URL.Query().Get("id"))
	if n == nil {
		http.Error(w, "nobody uses this name", http.StatusNotFound)
		return
	}
	answer(w, nameOf(n, allMembers))
}

// role is a hold or a wait of a session.
type role struct {
	Name  string `json:"name"`
	Holds bool   `json:"holds"`
	Since int64  `json:"since,omitempty"`
	Ahead int    `json:"ahead"` // number of members before it in the line
}

// session answers with the holds and waits of one session.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	lease := r.URL.Query().Get("lease")
	roles := []role{}
	for _, n := range s.opt.Board.Snapshot().Names {
		for i := range n.Members {
			m := &n.Members[i]
			if leaseText(m.Lease) == lease && len(roles) < allMembers {
				roles = append(roles, role{idOf(n.Name), m.Holds, millis(m.Since), i})
			}
		}
		if n.Group == nil {
			continue
		}
		for _, m := range n.Group.Members {
			if leaseText(m.Lease) == lease && len(roles) < allMembers {
				roles = append(roles, role{Name: idOf(n.Name), Holds: true})
			}
		}
	}
	answer(w, roles)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the page may have gone
}

// memberWith returns the member of a name with a key and a fence, as the page names them.
func memberWith(n *board.Name, key string, fence int64) *inspect.Member {
	for i := range n.Members {
		if m := &n.Members[i]; keyOf(m) == key && m.Fence == fence {
			return m
		}
	}
	return nil
}
