package history

import (
	"strconv"
	"strings"
)

// RecordKey returns the key of a session's record.
func RecordKey(lease int64) string { return "holdfast/sessions/" + strconv.FormatInt(lease, 16) }

// Losses counts the lost sessions and compares the times at which sessions and the server noticed a
// loss.
type Losses struct {
	Lost int
	// Margins is, for each session that was cut off until the server deleted it, the time from the
	// end of its context to the deletion, in nanoseconds. A positive margin is correct. Other
	// sessions that are not renewed in time delete their keys themselves.
	Margins []int64
	// Late is, for each session that the server revoked, the time from the deletion to the end of
	// its context, in nanoseconds.
	Late []int64
}

// Sessions compares when sessions noticed their loss with when the server deleted them, and adds
// violations to rep. It omits the sessions of frozen processes.
func Sessions(rep *Report, c *Conditions, log Log, ops []Op) Losses {
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
		if o.Value == "killed" {
			continue
		}
		out.Lost++
		if _, frozen := c.frozenAt(o.Client, 0, o.Call); frozen {
			continue
		}
		at := deleted[RecordKey(o.Lease)]
		switch {
		case at == 0:
			rep.Addf("the session %x was lost and its record is still there", o.Lease)
		case strings.Contains(o.Value, "not renewed"):
			if at <= o.Call {
				rep.Addf("the context of session %x ended %s after the server's deletion", o.Lease,
					ms(o.Call-at))
			}
			if c.cutOff(o.Client, o.Call, at) {
				out.Margins = append(out.Margins, at-o.Call)
			}
		case strings.Contains(o.Value, "revoked"):
			out.Late = append(out.Late, o.Call-at)
			if late := o.Call - at; late > int64(Learnt) {
				rep.Addf("session %x learnt %s after the server's deletion that it was lost",
					o.Lease, ms(late))
			}
		}
	}
	return out
}
