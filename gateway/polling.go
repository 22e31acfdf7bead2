package gateway

import "time"

// Polls: watches by requests that etcd ends after a time, because a proxy holds answers back until
// their end. A poll has all watches that were confirmed once, each from its next revision, so that
// nothing is lost or repeated between two. New watches are confirmed by a short poll of their own.

// placePolls begins the polls that are due.
func (m *watchmux) placePolls(now time.Duration) (due time.Duration) {
	due = never
	if len(m.waiting) > 0 && m.main == nil {
		if now >= m.pollAt {
			m.pollAt = now + pollTime/2
			m.main = m.poll(m.waiting, now, func(cn *conn) time.Duration {
				history := time.Duration(max(0, m.h.c.revision.Load()-cn.from))
				return max(pollTime, time.Duration(len(cn.asked))*pollCost,
					min(history*pollHistory, maxPoll))
			})
			m.waiting = nil
		} else {
			due = m.pollAt
		}
	}
	if len(m.fresh) > 0 && m.confirming == nil {
		if now >= m.confirmAt {
			m.confirmAt = now + confirmPause
			m.confirming = m.poll(m.fresh, now, func(cn *conn) time.Duration {
				return m.growth()*confirmPoll + time.Duration(len(cn.asked))*confirmCost
			})
			m.fresh = nil
		} else {
			due = min(due, m.confirmAt)
		}
	}
	return due
}

// poll begins a poll of some watches. It returns nil if none is left.
func (m *watchmux) poll(
	watches []*watch, now time.Duration, lasts func(*conn) time.Duration,
) *conn {
	cn := m.newConn(polling, now)
	for _, w := range watches {
		if !w.gone && !w.in(polling) {
			m.ask(cn, w, now).floor = m.floor()
		}
	}
	if len(cn.asked) == 0 {
		cn.cancel(nil)
		return nil
	}
	cn.timeout = lasts(cn)
	m.open(cn)
	return cn
}
