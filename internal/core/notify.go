package core

import "time"

// notices are what the hooks and the log of a session are to be told of its renewals and its state. A goroutine of the
// session tells them, one after the other, while there are any: whoever notices something is at work for others, too, and
// must not wait for a hook or a logger that blocks. The changes of state that come meanwhile are told as one, or as none.
// They are guarded by Session.mu.
type notices struct {
	running bool
	suspect bool            // told last
	took    []time.Duration // of renewals that Hooks.Renewed has not been told of
}

// maxRenewed is how many renewals wait for a hook that blocks; of more it is not told.
const maxRenewed = 16

func (n *notices) renewed(took time.Duration, wanted bool) {
	if wanted && len(n.took) < maxRenewed {
		n.took = append(n.took, took)
	}
}

// notify is called with mu held when there may be something to tell.
func (s *Session) notify() {
	n := &s.notices
	if !n.running && !s.ended && (len(n.took) > 0 || n.suspect != s.suspect) {
		n.running = true
		s.bg.Go(s.notifyRenewals)
	}
}

func (s *Session) notifyRenewals() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.notices
	for !s.ended && (len(n.took) > 0 || n.suspect != s.suspect) {
		took, changed := n.took, n.suspect != s.suspect
		n.took, n.suspect = nil, s.suspect
		suspect := s.suspect
		s.mu.Unlock()
		for _, d := range took {
			s.opt.Hooks.Renewed(d)
		}
		if changed {
			s.notifyState(suspect)
		}
		s.mu.Lock()
	}
	n.running = false
}

func (s *Session) notifyState(suspect bool) {
	hook := s.opt.Hooks.Recovered
	if suspect {
		hook = s.opt.Hooks.Suspect
	}
	if hook != nil {
		hook()
	}
	if suspect {
		s.opt.Logger.Warn("session_suspect", "lease", s.lease)
	} else {
		s.opt.Logger.Info("session_trusted", "lease", s.lease)
	}
}
