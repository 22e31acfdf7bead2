package history_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// Each of these tests has a correct history, and changes of it with the violation that the check
// must find, because a check that never fails proves nothing.

// scene builds a history. The time of a revision is its number.
type scene struct {
	log history.Log
	ops []history.Op
}

func (s *scene) rev(rev int64, events ...history.Event) {
	for i := range events {
		if !events[i].Deleted && events[i].Create == 0 {
			events[i].Create, events[i].Version = rev, 1
		}
	}
	s.log = append(s.log, history.Revision{Rev: rev, At: rev, Events: events})
}

func (s *scene) op(
	client, place, verb string, call, back int64, set func(*history.Op),
) *history.Op {
	o := history.Op{
		ID: len(s.ops) + 1, Client: client, Place: place, Verb: verb, Call: call,
		Return: back, Outcome: history.OK,
	}
	if set != nil {
		set(&o)
	}
	s.ops = append(s.ops, o)
	return &s.ops[len(s.ops)-1]
}

// hold adds a grant and its release.
func (s *scene) hold(client, place, key string, fence, from, to int64) {
	set := func(o *history.Op) { o.Key, o.Fence, o.Weight = key, fence, 1 }
	s.op(client, place, history.Lock, from-1, from, set)
	s.op(client, place, history.Unlock, to, to+1, set)
}

func put(key, value string) history.Event { return history.Event{Key: key, Value: value, Lease: 1} }
func del(key string) history.Event        { return history.Event{Key: key, Deleted: true} }

// bad is a change that a check must find.
type bad struct {
	name   string
	change func(*scene)
	want   string // a part of one of the violations
}

func mustFind(t *testing.T, good func() *scene, check func(*history.Report, *scene), all []bad) {
	t.Helper()
	var rep history.Report
	check(&rep, good())
	for _, v := range rep.Violations {
		t.Errorf("of the history that is right: %s", v)
	}
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			s := good()
			b.change(s)
			var rep history.Report
			check(&rep, s)
			if !slices.ContainsFunc(rep.Violations, func(v string) bool {
				return strings.Contains(v, b.want)
			}) {
				t.Errorf("not found: %q, only %q", b.want, rep.Violations)
			}
		})
	}
}

// edit changes the first op of a client with a verb.
func (s *scene) edit(client, verb string, change func(*history.Op)) {
	for i := range s.ops {
		if s.ops[i].Client == client && s.ops[i].Verb == verb {
			change(&s.ops[i])
			return
		}
	}
	panic("no such op")
}

func twoHolders() *scene {
	s := &scene{}
	s.rev(2, put("m/1", ""))
	s.rev(3, put("m/2", ""))
	s.rev(4, put("m.value", "2 a#3"))
	s.rev(5, del("m/1"))
	s.rev(6, del("m/2"))
	s.hold("a", "m", "m/1", 2, 20, 50)
	w := s.op("a", "m", history.Write, 30, 40, func(o *history.Op) {
		o.Key, o.Fence, o.Revision = "m/1", 2, 4
	})
	if w.Token() != "a#3" {
		panic(w.Token())
	}
	s.hold("b", "m", "m/2", 3, 60, 70)
	return s
}

func TestFaultsOfLocksAreFound(t *testing.T) {
	check := func(rep *history.Report, s *scene) {
		history.Locks{Place: "m"}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, twoHolders, check, []bad{
		{"two at a time", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Call = 65 })
		}, "after b had got"},
		{"lost too late", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Verb, o.Call = history.Lose, 65 })
		}, "after b had got"},
		{"never given back", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Verb = "" })
		}, "after b had got"},
		{"a grant that is not there", func(s *scene) {
			s.edit("b", history.Lock, func(o *history.Op) { o.Fence = 4 })
		}, "does not have"},
		{"never at the front", func(s *scene) {
			s.log[3].Events, s.log[4].Events = s.log[4].Events, s.log[3].Events
		}, "never admitted"},
		{"nobody was told", func(s *scene) {
			s.edit("b", history.Lock, func(o *history.Op) { o.Verb = "" })
		}, "nobody was told"},
		{"nobody owns it", func(s *scene) { s.log = s.log[:4] }, "nobody owns it"},
		{"the same fence", func(s *scene) {
			s.edit("b", history.Lock, func(o *history.Op) { o.Key, o.Fence = "m/1", 2 })
		}, "were granted the fence"},
		{"a later call with a smaller fence", func(s *scene) {
			s.edit("a", history.Lock, func(o *history.Op) { o.Call, o.Return = 80, 81 })
		}, "was called after"},
		{"a write that is lost", func(s *scene) {
			s.log[2].Events[0].Key = "other"
		}, "is not in the log"},
		{"a write at another revision", func(s *scene) {
			s.edit("a", history.Write, func(o *history.Op) { o.Revision = 3 })
		}, "acknowledged at revision"},
		{"a refused write that was applied", func(s *scene) {
			s.edit("a", history.Write, func(o *history.Op) { o.Outcome = history.Refused })
		}, "was refused and is in the log"},
		{"a write by nobody", func(s *scene) {
			s.log[2].Events[0].Value = "2 c#9"
		}, "nobody has written"},
		{"a write after the hold", func(s *scene) {
			s.log[2].Events, s.log[3].Events = s.log[3].Events, s.log[2].Events
		}, "not under its hold"},
		{"a write before the hold", func(s *scene) {
			s.log[2].Events[0].Value = "3 a#3"
		}, "not under its hold"},
		{"a write applied twice", func(s *scene) {
			s.rev(7, put("m.value", "2 a#3"))
		}, "and again at"},
		{"a member without a lease", func(s *scene) {
			s.log[0].Events[0].Lease = 0
		}, "without a lease"},
		{"a gap in the log", func(s *scene) {
			s.log[0].Events[0].Create = 1
		}, "the log does not show"},
	})
}

// TestAGrantThatArrivesAfterTheRevocationMayOverlap: the server has revoked the lease of a early
// and admitted b before the grant of a arrives, and a gives its hold back before it learns of the
// loss.
func TestAGrantThatArrivesAfterTheRevocationMayOverlap(t *testing.T) {
	s := &scene{}
	s.rev(2, put("m/1", ""))
	s.rev(3, put("m/2", ""))
	s.rev(4, del("m/1"))
	s.rev(5, del("m/2"))
	s.hold("b", "m", "m/2", 3, 20, 70)
	s.hold("a", "m", "m/1", 2, 30, 31)
	s.edit("a", history.Lock, func(o *history.Op) { o.Call = 1 })
	s.edit("a", history.Unlock, func(o *history.Op) { o.Outcome = history.Unknown })
	check := func(c history.Conditions) []string {
		var rep history.Report
		s.log[3].At = 75 // b's key is there until b has given it back
		history.Locks{Place: "m"}.Check(&rep, &c, s.log, s.ops)
		return rep.Violations
	}
	early := history.Conditions{Early: true}
	if found := check(early); len(found) != 0 {
		t.Errorf("violations where a moment is allowed: %q", found)
	}
	if len(check(history.Conditions{})) == 0 {
		t.Error("an overlap without an early revocation was not found")
	}
	s.log[2].At = 40 // now the key of a is there when b is granted
	if len(check(early)) == 0 {
		t.Error("two holders whose keys both exist were not found")
	}
}

func TestEarlyLossMayOverlapForAMoment(t *testing.T) {
	s := twoHolders()
	after := int64(history.Learnt) + 5 // the server deletes the key at 5
	s.edit("a", history.Unlock, func(o *history.Op) { o.Verb, o.Call = history.Lose, after })
	check := func(k history.Locks, c history.Conditions) int {
		var rep history.Report
		k.Check(&rep, &c, s.log, s.ops)
		return len(rep.Violations)
	}
	early := history.Conditions{Early: true}
	if n := check(history.Locks{Place: "m"}, early); n != 0 {
		t.Errorf("%d violations where a moment is allowed", n)
	}
	if check(history.Locks{Place: "m", Delayed: true}, early) == 0 {
		t.Error("an overlap in spite of a lock delay was not found")
	}
	s.edit("a", history.Lose, func(o *history.Op) { o.Call = after + 1 })
	if check(history.Locks{Place: "m"}, early) == 0 {
		t.Error("an overlap for longer than a moment was not found")
	}
	frozen := history.Conditions{Frozen: []history.Span{{Client: "a", From: 30, To: after}}}
	if n := check(history.Locks{Place: "m"}, frozen); n != 0 {
		t.Errorf("%d violations by a process that was frozen", n)
	}
	// Two frozen times with almost no time between them count as one, but not if there was time to
	// notice the loss.
	frozen.Frozen = []history.Span{
		{Client: "a", From: 30, To: 40},
		{Client: "a", From: 80, To: after},
	}
	if n := check(history.Locks{Place: "m"}, frozen); n != 0 {
		t.Errorf("%d violations by a process that was frozen twice", n)
	}
	frozen.Frozen[1] = history.Span{Client: "a", From: after - 10, To: after}
	frozen.Frozen[0].To = frozen.Frozen[1].From - int64(history.Learnt) - 1
	frozen.Frozen[0].From = frozen.Frozen[0].To
	if check(history.Locks{Place: "m"}, frozen) == 0 {
		t.Error("an overlap by a process that had time to learn of its loss was not found")
	}
	frozen.Frozen = []history.Span{{Client: "x", From: 30, To: after}}
	if check(history.Locks{Place: "m"}, frozen) == 0 {
		t.Error("an overlap by a process that was not frozen was not found")
	}
}

func TestFaultsOfReadersAndWritersAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("m/1", "shared"))
		s.rev(3, put("m/2", "shared"))
		s.rev(4, put("m/3", ""))
		s.rev(5, del("m/1"))
		s.rev(6, del("m/2"))
		s.rev(7, del("m/3"))
		s.hold("a", "m", "m/1", 2, 20, 50)
		s.hold("b", "m", "m/2", 3, 30, 60)
		s.hold("c", "m", "m/3", 4, 65, 70)
		s.edit("a", history.Lock, func(o *history.Op) { o.Verb = history.RLock })
		s.edit("b", history.Lock, func(o *history.Op) { o.Verb = history.RLock })
		return s
	}
	check := func(rep *history.Report, s *scene) {
		history.Locks{Place: "m", Shared: true}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"a writer beside a reader", func(s *scene) {
			s.edit("b", history.Unlock, func(o *history.Op) { o.Call = 68 })
		}, "after c had got"},
		{"a writer who says it reads", func(s *scene) {
			s.log[1].Events[0].Value = ""
		}, "not what the log says"},
	})
}

func TestFaultsOfSemaphoresAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("s//size", "2"))
		s.rev(3, put("s/1", "1"))
		s.rev(4, put("s/2", "1"))
		s.rev(5, put("s/3", "1"))
		s.rev(6, del("s/1"))
		s.rev(7, del("s/2"))
		s.rev(8, del("s/3"))
		s.hold("a", "s", "s/1", 3, 30, 60)
		s.hold("b", "s", "s/2", 4, 40, 70)
		s.hold("c", "s", "s/3", 5, 65, 80)
		return s
	}
	check := func(rep *history.Report, s *scene) {
		history.Semaphores{Place: "s", Limit: 2}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"too many at a time", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Call = 68 })
		}, "were held"},
		{"too many in the log", func(s *scene) {
			s.log[0].Events[0].Value = "3"
		}, "permits are out"},
		{"another weight", func(s *scene) {
			s.edit("a", history.Lock, func(o *history.Op) { o.Weight = 2 })
		}, "has a permit of"},
		{"never admitted", func(s *scene) { s.log[2].Events[0].Value = "2" }, "has a permit of"},
		{"nobody was told", func(s *scene) {
			s.edit("c", history.Lock, func(o *history.Op) { o.Verb = "" })
		}, "nobody was told"},
	})
}

func TestLogsThatDifferAreFound(t *testing.T) {
	a := history.Log{{Rev: 2, At: 20, Events: []history.Event{put("k", "a")}}, {Rev: 3, At: 30}}
	b := history.Log{{Rev: 2, At: 10, Events: []history.Event{put("k", "a")}}, {Rev: 4, At: 40}}
	var rep history.Report
	log := history.Merge(&rep, a, b)
	if len(rep.Violations) > 0 || len(log) != 3 || log.At(2) != 10 || log.At(3) != 30 ||
		log.At(5) != 0 {
		t.Errorf("%v, %q", log, rep.Violations)
	}
	for what, logs := range map[string][]history.Log{
		"the log goes from": {a[:1], b[1:]},
		"another":           {a, {{Rev: 2, Events: []history.Event{put("k", "b")}}}},
		"after":             {{b[1], b[0]}},
	} {
		rep = history.Report{}
		history.Merge(&rep, logs...)
		if !slices.ContainsFunc(rep.Violations, func(v string) bool {
			return strings.Contains(v, what)
		}) {
			t.Errorf("not found: %q, only %q", what, rep.Violations)
		}
	}
}

func TestFaultsOfSessionsAreFound(t *testing.T) {
	s := &scene{}
	s.rev(2, del(history.RecordKey(10)))
	s.rev(3, del(history.RecordKey(11)))
	s.log[0].At, s.log[1].At = 200, 300
	lost := func(lease, at int64, why string) {
		s.op("a", "", history.SessionLost, at, at, func(o *history.Op) {
			o.Lease, o.Value = lease, why
		})
	}
	lost(10, 150, "lease not renewed in time")
	lost(11, 340, "lease revoked or expired at the server")
	var rep history.Report
	cut := &history.Conditions{Cut: []history.Span{{Client: "a", From: 100, To: 1000}}}
	l := history.Sessions(&rep, cut, s.log, s.ops)
	if fmt.Sprint(l) != "{2 [50] [40]}" || len(rep.Violations) > 0 {
		t.Errorf("%v, %q", l, rep.Violations)
	}
	if l = history.Sessions(&rep, &history.Conditions{}, s.log, s.ops); len(l.Margins) != 0 {
		t.Error("a margin of a session that was not cut off")
	}
	mustFind(t, func() *scene { return &scene{s.log, slices.Clone(s.ops)} },
		func(rep *history.Report, s *scene) {
			history.Sessions(rep, cut, s.log, s.ops)
		}, []bad{
			{"a record that stays", func(s *scene) { s.ops[0].Lease = 12 }, "is still there"},
			{"too late", func(s *scene) { s.ops[0].Call = 201 }, "after the server's deletion"},
			{"learnt too late", func(s *scene) {
				s.ops[1].Call = 301 + int64(history.Learnt)
			}, "that it was lost"},
		})
}

// TestAKilledRecorderLeavesItsOps: a begun op is recorded, even if the writer was killed within a
// line.
func TestAKilledRecorderLeavesItsOps(t *testing.T) {
	var out bytes.Buffer
	rec := history.NewRecorder(&out)
	a := rec.Begin(history.Op{Client: "a", Verb: history.Lock})
	rec.End(a, history.OK, nil, func(o *history.Op) { o.Fence = 7 })
	rec.Begin(history.Op{Client: "b", Verb: history.Enqueue})
	rec.Note(history.Op{Client: "c", Verb: history.Lose})
	text := out.Bytes()
	parent := history.NewRecorder(nil)
	err := parent.Adopt(bytes.NewReader(text[:len(text)-5]))
	ops := parent.Ops()
	if err != nil || len(ops) != 2 || ops[0].Fence != 7 || ops[0].Outcome != history.OK ||
		ops[1].Outcome != "" {
		t.Errorf("%+v, %v", ops, err)
	}
	if now := history.NewClock().Now(); now-ops[0].Call > int64(time.Minute) || ops[0].Call > now {
		t.Errorf("clocks of two recorders differ: %d, %d", ops[0].Call, now)
	}
}
