package history_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// attempt adds an attempt at a unit that completes it.
func (s *scene) attempt(
	client, place, unit, key string, n int, fence, from, to int64,
) (token string) {
	set := func(o *history.Op) { o.Key, o.Fence, o.Value, o.Attempt = key, fence, unit, n }
	s.op(client, place, history.Lock, from, from, set)
	return s.op(client, place, history.Ack, to, to+1, set).Token()
}

// fails makes the last completion a failure, which is the end of its attempt.
func (s *scene) fails() {
	o := &s.ops[len(s.ops)-1]
	o.Verb, o.Outcome = history.Unlock, history.OK
}

func TestFaultsOfSingleRunsAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("o/1/a", ""))
		s.rev(3, put("o/1/b", ""))
		s.rev(4, del("o/1/a"))
		s.attempt("a", "o", "1", "o/1/a", 1, 2, 20, 30)
		s.fails()
		token := s.attempt("b", "o", "1", "o/1/b", 2, 3, 40, 50)
		s.rev(5, put("o.done/1", token), put("o/1//result", "x"), del("o/1/b"))
		for _, client := range []string{"b-do", "c-do"} {
			s.op(client, "o", history.Do, 10, 60, func(o *history.Op) {
				o.Value, o.Result, o.Fence, o.Attempt = "1", token, 3, 2
			})
		}
		return s
	}
	check := func(rep *history.Report, s *scene) {
		history.Jobs{Place: "o"}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"completed again", func(s *scene) { s.rev(6, put("o.done/1", "b#4")) }, "completed again"},
		{"another result", func(s *scene) { s.rev(6, put("o/1//result", "y")) }, "written again"},
		{"two runs at a time", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Call = 45 })
		}, "after b had got"},
		{"a run after the completion", func(s *scene) {
			s.rev(6, put("o/1/d", ""))
			s.attempt("d", "o", "1", "o/1/d", 3, 6, 70, 80)
			s.fails()
		}, "after its completion"},
		{"an attempt that does not count", func(s *scene) {
			s.edit("b", history.Lock, func(o *history.Op) { o.Attempt = 1 })
		}, "came after attempt"},
		{"a run without a hold", func(s *scene) {
			s.edit("a", history.Lock, func(o *history.Op) { o.Fence = 1 })
		}, "does not have"},
		{"another value for one caller", func(s *scene) {
			s.edit("c-do", history.Do, func(o *history.Op) { o.Result = "a#2" })
		}, "has the result"},
		{"another attempt for one caller", func(s *scene) {
			s.edit("c-do", history.Do, func(o *history.Op) { o.Attempt = 1 })
		}, "has the result of attempt"},
		{"a completion that was refused", func(s *scene) {
			s.edit("b", history.Ack, func(o *history.Op) { o.Outcome = history.Refused })
		}, "was refused and is in the log"},
		{"a completion that is lost", func(s *scene) {
			s.log[len(s.log)-1].Events = s.log[len(s.log)-1].Events[2:]
		}, "the log says otherwise"},
		{"a result that nobody has committed", func(s *scene) {
			s.log[len(s.log)-1].Events = s.log[len(s.log)-1].Events[2:]
		}, "nobody has committed"},
		{"a completion of nobody", func(s *scene) {
			s.log[len(s.log)-1].Events[0].Value = "x#1"
		}, "nobody has completed"},
		{"a completion without its hold", func(s *scene) {
			s.rev(6, del("o/1/b"))
			s.log[3].Events = s.log[3].Events[:2]
		}, "was not under its hold"},
	})
}

func TestFaultsOfSchedulesAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("c//running/a", ""))
		token := s.attempt("a", "c", "100", "c//running/a", 1, 2, 20, 30)
		s.rev(3, put("c.done/100", token), del("c//running/a"))
		s.rev(4, put("c//running/b", ""))
		token = s.attempt("b", "c", "110", "c//running/b", 1, 4, 40, 50)
		s.rev(5, put("c.done/110", token), del("c//running/b"))
		return s
	}
	check := func(rep *history.Report, s *scene) {
		k := history.Jobs{Place: "c", Period: 10 * time.Nanosecond}
		k.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"a lost tick", func(s *scene) {
			s.rev(6, put("c//running/a", ""))
			token := s.attempt("a", "c", "130", "c//running/a", 1, 6, 60, 70)
			s.rev(7, put("c.done/130", token), del("c//running/a"))
		}, "ticks are lost"},
		{"out of order", func(s *scene) {
			s.rev(6, put("c//running/a", ""))
			token := s.attempt("a", "c", "90", "c//running/a", 1, 6, 60, 70)
			s.rev(7, put("c.done/90", token), del("c//running/a"))
		}, "was completed before"},
		{"a tick twice", func(s *scene) { s.rev(6, put("c.done/110", "a#2")) }, "completed again"},
		{"two ticks at a time", func(s *scene) {
			s.edit("a", history.Ack, func(o *history.Op) { o.Call = 45 })
		}, "after b had got"},
	})
}

func TestHoldsThatAreOverdueTooEarlyAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		set := func(o *history.Op) { o.Key, o.Fence = "m/1", 2 }
		s.op("a", "m", history.Progress, 20, 21, set)
		s.op("a", "m", history.Progress, 30, 31, set)
		s.op("a", "m", history.Lose, 40, 40, func(o *history.Op) {
			set(o)
			o.Value = "the hold was held for longer than its limit"
		})
		return s
	}
	check := func(rep *history.Report, s *scene) {
		if history.Overdue(rep, "m", 10*time.Nanosecond, s.ops) != 1 {
			t.Error("the hold is not counted")
		}
	}
	mustFind(t, good, check, []bad{{"too early", func(s *scene) {
		s.edit("a", history.Lose, func(o *history.Op) { o.Call = 39 })
	}, "was overdue"}})
}

func TestFaultsOfMovesAreFound(t *testing.T) {
	value := func(key, value string, version int64) history.Event {
		return history.Event{Key: key, Value: value, Create: 2, Version: version, Lease: 1}
	}
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("m/1", ""))
		s.rev(4, value("m/1", "held:1:x", 2))
		s.rev(5, put("m.value", "2 a#2"))
		s.rev(6, value("m/1", "detached:y", 3), put("m/2", ""))
		s.rev(7, value("m/1", "held:2:z", 4))
		s.rev(8, put("m.value", "3 b#5"))
		s.rev(9, value("m/1", "detached:v", 5))
		s.rev(90, del("m/1"))
		s.rev(91, del("m/2"))
		of := func(fence int64) func(*history.Op) {
			return func(o *history.Op) { o.Key, o.Fence = "m/1", fence }
		}
		s.op("a", "m", history.Lock, 10, 20, of(2))
		s.op("a", "m", history.Write, 21, 22, of(2))
		s.op("a", "m", history.Detach, 30, 31, of(2))
		s.op("b", "m", history.Adopt, 40, 41, of(3))
		s.op("b", "m", history.Write, 42, 43, of(3))
		s.op("b", "m", history.Detach, 50, 51, of(3))
		s.hold("c", "m", "m/2", 6, 95, 99)
		return s
	}
	check := func(rep *history.Report, s *scene) {
		k := history.Moves{Place: "m", For: 40 * time.Nanosecond}
		k.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"free before its time", func(s *scene) { s.log[7].At = 89 }, "and free"},
		{"granted while it is detached", func(s *scene) {
			s.edit("c", history.Lock, func(o *history.Op) { o.Return = 45 })
		}, "after c had got"},
		{"a late write of the giver", func(s *scene) {
			s.op("a", "m", history.Stale, 60, 61, func(o *history.Op) {
				o.Key, o.Fence, o.Revision = "m/1", 2, 89
			})
			s.log = append(s.log[:7:7], append(history.Log{{
				Rev: 89, At: 89, Events: []history.Event{put("m.value", "2 "+s.ops[len(s.ops)-1].Token())},
			}}, s.log[7:]...)...)
		}, "was not under its hold"},
		{"the fence of the giver", func(s *scene) {
			s.edit("b", history.Adopt, func(o *history.Op) { o.Fence = 2 })
		}, "were granted the fence"},
		{"a fence of nobody", func(s *scene) {
			s.edit("b", history.Adopt, func(o *history.Op) { o.Fence = 5 })
		}, "which the log does not have"},
		{"a fence of two", func(s *scene) {
			s.log[3].Rev, s.log[3].Events[1].Create = 3, 3
		}, "have the fence"},
		{"a detachment that is lost", func(s *scene) {
			s.edit("b", history.Detach, func(o *history.Op) { o.Fence = 7 })
		}, "which the log does not show"},
		{"two at a time", func(s *scene) {
			s.edit("a", history.Detach, func(o *history.Op) { o.Call = 45 })
		}, "after b had got"},
		{"nobody's lock", func(s *scene) { s.log[8].Events = nil }, "nobody owns it"},
	})
}
