package history_test

import (
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// TestBadState: the checks of transfers, copies and tokens find each violation.
func TestBadState(t *testing.T) {
	t.Parallel()
	good := func() *scene {
		s := &scene{}
		s.op("a", "bank", history.Transfer, 1, 3, func(o *history.Op) { o.Revision = 2 })
		s.op("b", "bank", history.Transfer, 3, 5, func(o *history.Op) { o.Outcome = history.Failed })
		s.op("c", "bank", history.Copy, 3, 4, func(o *history.Op) {
			o.Round, o.Revision, o.Value = 2, 3, history.Image(map[string]int64{
				"bank/account/1": 2, "bank/account/2": 2,
			})
		})
		for i := range int64(3) { // a burst of 2, and one token each second
			s.op("d", "tokens", history.Take, 1, 1+i*1e9, nil)
		}
		s.rev(2, history.Event{Key: "bank/account/1", Value: "-1"},
			history.Event{Key: "bank/account/2", Value: "1"}, history.Event{Key: "bank/log/a#1"})
		return s
	}
	for want, change := range map[string]func(s *scene){
		"": func(*scene) {},
		"the sum is": func(s *scene) {
			s.rev(4, history.Event{Key: "bank/account/1", Value: "0"})
		},
		"was applied at": func(s *scene) { s.rev(4, history.Event{Key: "bank/log/a#1"}) },
		"failed at":      func(s *scene) { s.rev(4, history.Event{Key: "bank/log/b#2"}) },
		"ok at":          func(s *scene) { s.ops[0].Revision = 3 },
		"has a copy":     func(s *scene) { s.ops[2].Value = "" },
		"and waited for": func(s *scene) { s.ops[2].Round = 4 },
		"saw revision": func(s *scene) {
			s.op("c", "bank", history.Copy, 5, 6, func(o *history.Op) { o.Revision = 1 })
		},
		"tokens after": func(s *scene) {
			s.op("d", "tokens", history.Take, 1, 2, nil)
			s.op("d", "tokens", history.Take, 1, 2, nil)
		},
	} {
		s := good()
		change(s)
		var rep history.Report
		history.Banks{Place: "bank"}.Check(&rep, s.log, s.ops)
		history.Limits{Place: "tokens", Burst: 2, Second: 1}.Check(&rep, s.ops)
		found := strings.Join(rep.Violations, "\n")
		if !strings.Contains(found, want) || want == "" && found != "" {
			t.Errorf("%q is missing in %q", want, found)
		}
	}
}
