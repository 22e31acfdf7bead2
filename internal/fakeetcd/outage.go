package fakeetcd

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/internal/memnet"
)

// listen makes the server reachable.
func (s *Server) listen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := memnet.Listen()
	server := &http.Server{
		Handler:  s,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	s.l, s.http, s.down = l, server, false
	go func() { _ = server.Serve(l) }()
}

func (s *Server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	l := s.l
	s.mu.Unlock()
	return l.Dial(ctx, network, address)
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Stop ends the server like SIGKILL. It refuses connections until [Server.Resume]. Its data stays,
// and no lease expires meanwhile. It has no effect if the server is stopped.
func (s *Server) Stop() {
	s.mu.Lock()
	server, running := s.http, !s.down
	if running {
		s.down = true
		s.stopLeases()
		for st := range s.streams { // also of other listeners
			st.cut()
		}
	}
	s.mu.Unlock()
	if running {
		_ = server.Close() // returns an error of the listener in memory, which has none
	}
}

// Resume ends [Server.Stop]. All leases have their full time to live again, as after each election
// of a leader in etcd. It has no effect if the server is not stopped.
func (s *Server) Resume() {
	if !s.isDown() {
		return
	}
	s.listen()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.store.leases {
		l.renew()
	}
}

// stopLeases stops the timers of all leases. mu must be held.
func (s *Server) stopLeases() {
	for _, l := range s.store.leases {
		l.timer.Stop()
	}
}

// Restore restarts the server with the data of a revision under a new cluster ID, like a restore
// from a backup. Leases stay. The revision must not be compacted, nor be a future one.
func (s *Server) Restore(rev int64) error {
	s.mu.Lock()
	err := s.store.checkRevision(rev)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.Stop()
	s.mu.Lock()
	s.cluster++
	s.store.rollBack(rev)
	s.mu.Unlock()
	s.Resume()
	return nil
}

// rollBack forgets all revisions after rev.
func (s *store) rollBack(rev int64) {
	later := func(o object) bool { return o.Mod > rev }
	s.rev = rev
	s.log = slices.DeleteFunc(s.log, later)
	for _, l := range s.leases {
		clear(l.keys)
	}
	s.keys = slices.DeleteFunc(s.keys, func(key string) bool {
		past := slices.DeleteFunc(s.history[key], later)
		s.history[key] = past
		if len(past) == 0 {
			delete(s.history, key)
			return true
		}
		s.attach(past[len(past)-1])
		return false
	})
}

// Mute makes all streams silent, as if no packet arrived in either direction, or with muted false
// delivers everything that was sent meanwhile.
func (s *Server) Mute(muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case muted && s.muted == nil:
		s.muted = make(chan struct{})
	case !muted && s.muted != nil:
		close(s.muted)
		s.muted = nil
	}
}

// hear waits while streams are muted. It returns false when ctx has ended.
func (s *Server) hear(ctx context.Context) bool {
	for {
		s.mu.Lock()
		muted := s.muted
		s.mu.Unlock()
		if muted == nil {
			return ctx.Err() == nil
		}
		select {
		case <-muted:
		case <-ctx.Done():
			return false
		}
	}
}

// pause waits for d, or until the server is closed.
func (s *Server) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
}
