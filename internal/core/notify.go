package core

import "time"

// notices are the renewals and changes of state that the hooks and the log of a session were not
// notified of yet. A goroutine of the session notifies them, one after the other, because the
// goroutine that adds a notice also serves others and must not wait for a hook or a logger that
// blocks. Several changes of state during that are reported as one, or not at all if the state is
// the same again. Session.mu guards the notices.
type notices struct {
	running bool
	suspect bool            // as last reported
	took    []time.Duration // of the renewals that Hooks.Renewed was not called for yet
}

// maxRenewed bounds the renewals that wait for a hook that blocks. Further ones are dropped.
const maxRenewed = 16

func (n *notices) renewed(took time.Duration, wanted bool) {
	if wanted && len(n.took) < maxRenewed {
		n.took = append(n.took, took)
	}
}

// notify starts the goroutine that calls the hooks, if there are notices. s.mu is held.
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

func (s *Session) notifyLost(err error) {
	if s.opt.Hooks.Lost != nil {
		s.opt.Hooks.Lost(err)
	}
	s.opt.Logger.Warn("session_lost", "lease", s.lease, "err", err)
}
