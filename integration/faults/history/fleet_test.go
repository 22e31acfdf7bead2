package history

import (
	"strings"
	"testing"
)

// TestFleetsFindsViolations: the checker finds each kind of violation, and none in a good history.
func TestFleetsFindsViolations(t *testing.T) {
	t.Parallel()
	line, value := "g//shards/0/", ValueKey("g//shards/0")
	put := func(key, value string, rev int64) Revision {
		return Revision{Rev: rev, Events: []Event{{Key: key, Value: value, Create: rev}}}
	}
	gone := func(key string, rev int64) Revision {
		return Revision{Rev: rev, Events: []Event{{Key: key, Deleted: true}}}
	}
	op := Op{ID: 1, Client: "a", Place: "g//shards/0", Verb: Write, Fence: 2, Outcome: OK, Revision: 3}
	view := Op{ID: 2, Client: "a", Place: "g", Verb: Observe, Revision: 1, Value: `["m"]`}
	good := Log{
		put("g//members/m", "x", 1), put(line+"a", "m", 2), put(value, Guarded(2, op.Token()), 3),
		gone(line+"a", 4),
	}
	for want, test := range map[string]struct {
		log Log
		ops []Op
	}{
		"":              {good, []Op{op, view}},
		"holds nothing": {append(good[:4:4], put(value, "2 late", 5)), []Op{op}},
		"during the hold 2": {
			Log{good[1], put(line+"b", "n", 3), put(value, "3 b", 4)}, nil,
		},
		"in the log at 3 and 4": {
			append(good[:3:3], put(value, Guarded(2, op.Token()), 4)), nil,
		},
		"was acknowledged": {good[:2], []Op{op}},
		"was refused": {good, []Op{{
			ID: 1, Client: "a", Place: op.Place, Verb: Write, Fence: 2, Outcome: Refused,
		}}},
		"saw revision 1 after 4": {good, []Op{
			{Client: "a", Place: "g", Verb: Observe, Revision: 4, Value: `["m"]`}, view,
		}},
		"which has": {good, []Op{{
			Client: "a", Place: "g", Verb: Observe, Revision: 4, Value: `["m" "m"]`,
		}}},
	} {
		var rep Report
		Fleets{Group: "g", Shards: 1}.Check(&rep, test.log, test.ops)
		found := strings.Join(rep.Violations, "; ")
		if (want == "") != (found == "") || !strings.Contains(found, want) {
			t.Errorf("want %q, found %q", want, found)
		}
	}
}
