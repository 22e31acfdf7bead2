package gateway

import (
	"cmp"
	"slices"
	"time"
)

// Finite streams: watches on streams whose request is complete when it is sent. A later watch needs
// another stream.

// placeFinite puts the watches that are on no stream on one.
func (m *watchmux) placeFinite(now time.Duration) (due time.Duration) {
	if len(m.fresh)+len(m.waiting) == 0 {
		return never
	}
	for cn := range m.conns {
		if cn.mode == finite && !cn.trial && !cn.stood && now < cn.began+openingPause {
			return cn.began + openingPause // it signals when it is answered
		}
	}
	cn := m.newConn(finite, now)
	for _, list := range [][]*watch{m.fresh, m.waiting} {
		for _, w := range list {
			if !w.gone && !w.in(finite) {
				m.ask(cn, w, now)
			}
		}
	}
	m.fresh, m.waiting = nil, nil
	if len(cn.asked) == 0 {
		cn.cancel(nil)
		return never
	}
	m.merge(cn, now)
	m.open(cn)
	return now // for judge, which has to know when the stream is late
}

// merge moves the watches of the smallest streams to a new one when there are too many streams: all
// that are no larger than the new one has become. Each merge at least doubles the streams that are
// smaller than the next one, so a watch moves about as often as the number of watches can be
// doubled.
func (m *watchmux) merge(cn *conn, now time.Duration) {
	var others []*conn
	for c := range m.conns {
		if c.mode == finite && !c.trial && !c.renewed {
			others = append(others, c)
		}
	}
	slices.SortFunc(others, func(a, b *conn) int {
		return cmp.Compare(len(a.places), len(b.places))
	})
	for i, old := range others {
		if len(others)-i < maxFinite && (i == 0 || len(old.places) > len(cn.places)) {
			break
		}
		m.move(old, cn, now)
	}
}

// move requests the watches of one stream on another. They are delivered from the first until they
// are confirmed.
func (m *watchmux) move(old, cn *conn, now time.Duration) {
	old.renewed = true
	for _, p := range old.places {
		if !p.w.on(cn) {
			m.ask(cn, p.w, now).floor = m.floor()
		}
	}
}

// renewAt is when another stream has to replace one that is silent, or behind the revision that the
// client has seen.
func (m *watchmux) renewAt(cn *conn, now time.Duration) time.Duration {
	if cn.renewed || !cn.stood {
		return never
	}
	heard := time.Duration(cn.heard.Load())
	at := heard + patientSilence
	if cn.behind() {
		history := max(0, m.floor()-cn.from)
		cost := max(streamSilence,
			time.Duration(len(cn.places))*renewalCost, time.Duration(history)*historyCost)
		at = min(at, max(heard, cn.began)+cost)
	}
	return max(at, now)
}

// renew lets one new stream replace several.
func (m *watchmux) renew(stale []*conn, now time.Duration) {
	cn := m.newConn(finite, now)
	for _, old := range stale {
		m.move(old, cn, now)
	}
	m.open(cn)
}
