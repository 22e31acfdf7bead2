package gateway

import "time"

// confirmed records the answer to a create.
func (cn *conn) confirmed(p *place, rev int64) {
	now := cn.m.h.now()
	cn.answered = now
	if cn.stood && p.at > cn.began {
		cn.duplex = true
		cn.m.ep.path.held = 0
	}
	if p.w == nil {
		cn.probed = false
	}
	if p.floor > 0 && rev >= p.floor {
		cn.m.h.behind = 0
	}
	if !cn.stood {
		cn.stood = true
		cn.m.ep.path.learn(cn)
		if cn.latecomer {
			cn.m.signal()
		}
		if !cn.trial && cn.mode == cn.m.mode {
			cn.m.ep.mode.Store(int32(cn.mode))
		}
	}
	if cn.trial {
		cn.pass()
	}
	cn.shows(rev)
}

// shows records a revision that the stream has shown.
func (cn *conn) shows(rev int64) {
	cn.rev = max(cn.rev, rev)
	if m := cn.m; rev > m.rev {
		m.rev, m.revAt = rev, m.h.now()
	}
}

// oldest is when the oldest unanswered create was sent, or when the last one was answered if later.
func (cn *conn) oldest() time.Duration { return max(cn.asked[0].at, cn.answered) }

func (cn *conn) heardSince(t time.Duration) bool { return time.Duration(cn.heard.Load()) > t }

// excused reports whether the answer to a create may be behind events that the stream delivers
// first: the stream is busy, and has not reached the revision that the client had seen when it sent
// the create. A stream that shows a later revision and no answer has lost the create.
func (cn *conn) excused(now time.Duration) bool {
	return cn.heardSince(now-streamSilence/2) && cn.heardSince(cn.oldest()) &&
		cn.rev < cn.asked[0].known && now-cn.oldest() < 10*streamSilence
}

// tick records the revision that the client has seen, so that every member should have reached
// floor by now.
func (m *watchmux) tick(now time.Duration) (due time.Duration) {
	if now-m.ticked >= streamSilence/2 {
		m.ticked = now
		copy(m.seen[:], m.seen[1:])
		m.seen[len(m.seen)-1] = m.h.c.revision.Load()
		if !m.lagging && now-m.since >= m.h.lagPause() {
			m.lagging = true
		}
	}
	return m.ticked + streamSilence/2
}

// floor is a revision that the client had seen streamSilence ago.
func (m *watchmux) floor() int64 { return m.seen[0] }

// checkLife checks each stream. It fails the watchmux when one in use is dead or deaf.
func (m *watchmux) checkLife(now time.Duration) (due time.Duration) {
	due = never
	var stale []*conn
	for cn := range m.conns {
		if cn.until > 0 {
			if now >= cn.until {
				m.abandon(cn)
				continue
			}
			due = min(due, cn.until)
			continue
		}
		if cn.mode != m.mode {
			continue
		}
		if len(cn.asked) > 0 && cn.timeout == 0 {
			limit := m.patience
			if cn.stood {
				limit = max(limit, streamSilence)
			}
			late := cn.oldest() + limit
			if now >= late && !cn.excused(now) {
				if cn.stood && !cn.duplex && cn.mode == shared {
					m.ep.path.held++
				}
				m.fail(m.stalled())
				return never
			}
			due = min(due, max(late, now+streamSilence/4))
		}
		switch cn.mode {
		case unknown:
		case shared:
			due = min(due, m.probe(cn, now))
		case finite:
			at := m.renewAt(cn, now)
			if now >= at {
				stale = append(stale, cn)
			} else {
				due = min(due, at)
			}
		case polling:
			if over := cn.began + cn.timeout + max(m.patience, streamSilence); now >= over {
				m.fail(m.stalled())
				return never
			} else {
				due = min(due, over)
			}
		}
	}
	if len(stale) > 0 {
		m.renew(stale, now)
	}
	return due
}

// silence is how long a stream may be silent before it is asked for a sign of life.
func (h *hub) silence() time.Duration {
	if h.hasty == 0 {
		return patientSilence
	}
	return streamSilence
}

// probe asks a shared stream for a sign of life when it is silent, or behind. A stream that has
// answered progress requests is asked for progress alone at first, because that costs etcd a third
// of the messages. One that only has patient watches is then not asked when it is behind, because
// in a busy cluster each renewal shows a revision that the stream does not.
func (m *watchmux) probe(cn *conn, now time.Duration) (due time.Duration) {
	if !cn.stood || cn.probed {
		return never // an unanswered create has its own limit
	}
	silent, limit := now-time.Duration(cn.heard.Load()), m.h.silence()
	behind := cn.behind() && len(cn.asked) == 0 && (m.h.hasty > 0 || !cn.reports)
	suspect := behind || silent >= limit
	switch {
	case cn.signAt > 0 && now < cn.signAt+signTime:
		return cn.signAt + signTime
	case cn.signAt > 0:
		// The limit runs from the progress request, so that a dead stream is left no later. After a
		// pause of the process the probe still has as long as that request had.
		return m.probeFully(cn, max(cn.signAt, now-signTime), now)
	case suspect && !cn.reports:
		return m.probeFully(cn, now, now)
	case suspect:
		cn.signAt = now
		cn.askProgress(now)
		return now + signTime
	}
	if m.h.asked && now-cn.progressAt >= streamSilence || now-cn.progressAt > progressEvery {
		cn.askProgress(now)
	}
	due = now - silent + limit
	if m.h.asked {
		due = min(due, cn.progressAt+streamSilence)
	}
	return due
}

// behind reports whether the stream has shown less than the client had seen streamSilence ago.
func (cn *conn) behind() bool { return cn.rev < cn.m.floor() }

// signTime is how long a progress request alone may stay unanswered.
const signTime = streamSilence / 2

// probeFully sends a progress request and, because etcd leaves that unanswered while any watch is
// catching up or begins in the future, creates a watch and cancels it. The limit of the answer runs
// from at. Other messages do not count as an answer, because a proxy may hold back requests while
// it forwards events.
func (m *watchmux) probeFully(cn *conn, at, now time.Duration) (due time.Duration) {
	cn.probed, cn.reports, cn.signAt = true, false, 0
	cn.askProgress(now)
	cn.write(cancelMessage(m.askProbe(cn, at, m.floor())))
	return at + streamSilence
}

func (cn *conn) askProgress(now time.Duration) {
	cn.progressAt = now
	cn.write([]byte(progressMessage))
}

// reported records the answer to a progress request. A probe that came after an unanswered one gets
// its whole time again, because the stream carries both directions. An answer that is behind is
// followed by a probe, whose answer decides.
func (cn *conn) reported() {
	alone := cn.signAt > 0
	cn.reports, cn.signAt = !cn.behind(), 0
	if alone && !cn.reports {
		cn.m.signal()
	}
	if len(cn.asked) > 0 && cn.asked[0].w == nil {
		cn.asked[0].at = max(cn.asked[0].at, cn.progressAt)
	}
}

// leave ends the streams of an endpoint if no stream has advanced since a moment. Other bytes prove
// nothing: a partitioned member confirms watches and answers probes.
func (h *hub) leave(ep *endpoint, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.mux; m != nil && m.ep == ep && m.revAt < since.Sub(h.epoch) {
		m.fail(m.stalled())
	}
}

// lagPause is how long a stream that is behind is kept. It grows after other streams that were
// behind, because then all members are behind, or a load balancer selects the same one again.
func (h *hub) lagPause() time.Duration {
	over := h.behind - h.c.eps.size()
	if over < 0 {
		return 0
	}
	return min(streamSilence<<min(over, 10), time.Minute)
}
