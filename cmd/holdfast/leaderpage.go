package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/election"
)

// leaderPage names the leader over HTTP, to programs beside this one: GET / returns it as JSON, GET
// /leader has the status 200 while this process leads and 503 otherwise.
type leaderPage struct {
	url    string
	server *http.Server
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	leader *election.Leader // nil while there is none, or none is known
	own    *election.Term   // nil until this process leads
}

// newLeaderPage serves the page on an address until close.
func newLeaderPage(ctx context.Context, address string) (*leaderPage, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, usagef("cannot serve on %s: %v", address, err)
	}
	p := &leaderPage{url: "http://" + l.Addr().String() + "/"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serveLeader)
	mux.HandleFunc("GET /leader", p.serveOwn)
	p.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	p.done.Go(func() { _ = p.server.Serve(l) }) // until it is closed
	return p, nil
}

// follow keeps the leader until close or the end of the session.
func (p *leaderPage) follow(ctx context.Context, e *election.Election) {
	ctx, p.stop = context.WithCancel(ctx)
	p.done.Go(func() {
		defer p.set(nil)
		for ev, err := range e.Observe(ctx) {
			if err != nil {
				return
			}
			p.set(ev.Leader)
		}
	})
}

func (p *leaderPage) set(leader *election.Leader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leader = leader
}

func (p *leaderPage) leads(own *election.Term) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own = own
}

func (p *leaderPage) close() {
	if p.stop != nil {
		p.stop()
	}
	_ = p.server.Close()
	p.done.Wait()
}

func (p *leaderPage) serveLeader(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	leader, own := p.leader, p.own
	p.mu.Unlock()
	out := struct {
		Name    string `json:"name"` // the leader's value; empty if there is none
		Fence   int64  `json:"fence,omitempty"`
		Leading bool   `json:"leading"`
	}{Leading: own != nil && own.Err() == nil}
	if leader != nil {
		out.Name, out.Fence = leader.Value, leader.Fence
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client may have gone
}

func (p *leaderPage) serveOwn(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	own := p.own
	p.mu.Unlock()
	if own == nil || own.Err() != nil {
		http.Error(w, "this process does not lead", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("this process leads\n")) // the client may have gone
}
