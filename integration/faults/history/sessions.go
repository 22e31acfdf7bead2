package history

import (
	"strconv"
	"strings"
)

// RecordKey is the key of a session's record.
func RecordKey(lease int64) string { return "holdfast/sessions/" + strconv.FormatInt(lease, 16) }

// Losses is how the losses of sessions lie in time.
type Losses struct {
	Lost int
	// Margins are how much earlier than the server's deletion the contexts ended of sessions that were not renewed in
	// time, in nanoseconds. Positive is right.
	Margins []int64
	// Late are how much later than the server's deletion the contexts ended of sessions that the server took away.
	Late []int64
}

// Sessions compares when sessions learnt that they were lost with when the server deleted them. Deletions after until are
// left out: they may be the sessions' own. So are sessions of frozen processes.
func Sessions(rep *Report, c *Conditions, log Log, ops []Op, until int64) Losses {
	deleted := map[string]int64{}
	for _, r := range log {
		for _, ev := range r.Events {
			if ev.Deleted && strings.HasPrefix(ev.Key, "holdfast/sessions/") {
				deleted[ev.Key] = r.At
			}
		}
	}
	var out Losses
	for _, o := range ops {
		if o.Verb != SessionLost {
			continue
		}
		out.Lost++
		if _, frozen := c.frozenAt(o.Client, o.Call); frozen {
			continue
		}
		at := deleted[RecordKey(o.Lease)]
		switch {
		case at == 0:
			rep.Addf("the session %x was lost and its record is still there", o.Lease)
		case strings.Contains(o.Value, "not renewed") && at < until:
			out.Margins = append(out.Margins, at-o.Call)
		case strings.Contains(o.Value, "revoked"):
			out.Late = append(out.Late, o.Call-at)
		}
	}
	return out
}
