package gateway

import "time"

// WatchMode is how the watches of a client reach one endpoint. The guarantees of a watch are the
// same in each.
type WatchMode string

const (
	// WatchModeUnknown says that no watch was needed there yet, or none was confirmed.
	WatchModeUnknown WatchMode = ""
	// WatchModeShared is one full-duplex stream for all watches. A direct connection allows it.
	WatchModeShared WatchMode = "shared"
	// WatchModeFinite is a few streams, each opened by a complete request. It is used where a proxy
	// forwards no request before its end, or does not forward "Connection: close". Events arrive as
	// soon as in WatchModeShared.
	WatchModeFinite WatchMode = "finite"
	// WatchModePolling is requests that etcd ends after a while. It is used where a proxy forwards
	// no answer before its end. Events arrive up to a second late, or later with more than 1,000
	// watches.
	WatchModePolling WatchMode = "polling"
)

// mode is a WatchMode, the better ones first.
type mode int32

const (
	unknown mode = iota
	shared
	finite
	polling
)

func (m mode) public() WatchMode {
	return [...]WatchMode{WatchModeUnknown, WatchModeShared, WatchModeFinite, WatchModePolling}[m]
}

// watchPath is the state of the network path to an endpoint. It is guarded by hub.mu.
type watchPath struct {
	upgradeAt time.Duration // when better modes are tried again, since hub.epoch
	pause     time.Duration // the pause after that
	http11    bool          // finite streams speak HTTP/1.1, not 1.0
	// held counts the streams in a row that were confirmed, and then left every later create
	// unanswered.
	held int

	versionKnown bool // a finite stream of that version was answered
	losesCreates bool // a poll ended with an answer to some of its creates only
}

// postpone sets the time when better modes are tried again.
func (p *watchPath) postpone(now time.Duration) {
	if p.pause == 0 {
		p.pause = upgradeAfter
	}
	p.upgradeAt = now + p.pause
	p.pause = min(2*p.pause, maxUpgrade)
}

// rung is how long a mode is waited for before the next worse one is tried in parallel. Three modes
// and a margin fit in the time limit of a stream's first answer.
func (m *watchmux) rung() time.Duration { return min(m.patience*3/10, m.growth()*maxRung) }

// growth is how many times longer a stream is waited for than on a path that answers in time.
func (m *watchmux) growth() time.Duration { return max(1, m.patience/m.h.c.cfg.AttemptTimeout) }

// judge selects the mode of the path. A mode is judged by comparison only: it is left when a create
// in a worse one was answered while its own were not, and restored when a create in it was
// answered.
func (m *watchmux) judge(now time.Duration) (due time.Duration) {
	late, since := m.late(now)
	for other := shared; other <= polling; other++ {
		if !m.passed[other] {
			continue
		}
		m.passed[other] = false
		if other < m.mode || other > m.mode && late {
			m.change(other, now)
			return now
		}
	}
	for cn := range m.conns {
		switch {
		case !cn.latecomer || !cn.stood || cn.mode >= m.mode:
		case cn.mode == shared:
			cn.latecomer = false // its end is no longer expected
			m.adopt(cn, now)
			return now
		default:
			m.change(cn.mode, now)
			return now
		}
	}
	due = never
	if since != never {
		due = since
	}
	if late {
		for worse := m.mode + 1; worse <= polling; worse++ {
			if m.tried[worse] == 0 {
				m.try(worse, m.patience, now)
				return now + m.rung()
			}
			if next := m.tried[worse] + m.rung(); now < next {
				return next
			}
		}
		return due
	}
	if path := &m.ep.path; m.mode > shared && m.stood {
		if path.upgradeAt == 0 {
			path.postpone(now)
		}
		if now >= path.upgradeAt {
			path.postpone(now)
			for better := shared; better < m.mode; better++ {
				m.try(better, 2*m.patience, now)
			}
		}
		due = min(due, path.upgradeAt)
	}
	return due
}

// late reports whether a create in the mode in use has waited for so long that the next worse mode
// is to be tried, and otherwise when the oldest create will have.
func (m *watchmux) late(now time.Duration) (late bool, at time.Duration) {
	at = never
	for cn := range m.conns {
		if cn.trial || cn.mode != m.mode || len(cn.asked) == 0 {
			continue
		}
		limit := m.rung() + cn.timeout
		if cn.stood {
			// A stream that breaks does not show that the mode is wrong. Unanswered later creates
			// do, when the stream delivers meanwhile, or when it is not the first one that ends
			// like this.
			if !cn.heardSince(cn.oldest()) && m.ep.path.held == 0 {
				continue
			}
			limit = max(limit, streamSilence/2)
		}
		if now-cn.oldest() >= limit && !cn.excused(now) {
			return true, never
		}
		next := cn.oldest() + limit
		if next <= now { // excused: look again soon, but not at once
			next = now + streamSilence/4
		}
		at = min(at, next)
	}
	clear(m.tried[:])
	for cn := range m.conns {
		if cn.trial {
			m.tried[cn.mode] = cn.began
		}
	}
	return false, at
}

// try opens a stream with one create in another mode, to test whether the mode works on this path.
func (m *watchmux) try(as mode, limit, now time.Duration) {
	for cn := range m.conns {
		if cn.trial && cn.mode == as {
			return
		}
	}
	m.tried[as] = now
	cn := m.newConn(as, now)
	cn.trial, cn.until = true, now+limit
	if as == polling {
		cn.timeout = m.growth() * confirmPoll
	}
	m.askProbe(cn, now, 0)
	m.open(cn)
}

// pass handles an answer to a trial. A shared stream has to answer twice, because a proxy may
// forward the first message of a request and hold back the next.
func (cn *conn) pass() {
	cn.answers++
	if cn.mode == shared && cn.answers < 2 {
		cn.m.askProbe(cn, cn.m.h.now(), 0)
		return
	}
	cn.m.passed[cn.mode] = true // the stream of a poll may end before anything looks at it
	cn.m.abandon(cn)
}

// change sets the mode, and requests all watches in it. Watches on streams of the mode before are
// delivered from there until they are confirmed.
func (m *watchmux) change(to mode, now time.Duration) {
	m.leaveMode(to, now)
	if to == shared {
		cn := m.newConn(shared, now)
		m.open(cn)
		m.adopt(cn, now)
		return
	}
	for w := range m.h.watches {
		m.homeless(w)
	}
}

// adopt makes a stream the shared one.
func (m *watchmux) adopt(cn *conn, now time.Duration) {
	m.leaveMode(shared, now)
	m.shared, cn.until = cn, 0
	for w := range m.h.watches {
		if !w.on(cn) {
			m.ask(cn, w, now)
		}
	}
	m.fresh, m.waiting = nil, nil
}

func (m *watchmux) leaveMode(to mode, now time.Duration) {
	if to > m.mode {
		m.ep.path.postpone(now)
	}
	if to != m.mode { // not at the start, when nothing is known
		m.ep.mode.Store(int32(to))
	}
	m.mode, m.shared = to, nil
	clear(m.tried[:])
	clear(m.passed[:])
	for cn := range m.conns {
		switch {
		case cn.trial:
		case cn.mode == to:
			cn.until, cn.latecomer = 0, false
		default:
			cn.until, cn.latecomer = now+2*m.patience, !cn.stood
		}
	}
}
