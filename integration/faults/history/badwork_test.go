package history_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

func TestFaultsOfElectionsAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("e/1", "one"))
		s.rev(3, history.Event{Key: "e/1", Value: "two", Create: 2, Version: 2, Lease: 1})
		s.rev(4, put("e/2", "three"))
		s.rev(5, del("e/1"))
		s.rev(6, del("e/2"))
		s.hold("a", "e", "e/1", 2, 20, 50)
		s.op("a", "e", history.Proclaim, 30, 31, func(o *history.Op) {
			o.Fence, o.Value = 2, "two"
		})
		s.hold("b", "e", "e/2", 4, 60, 70)
		s.op("r", "e", history.Read, 40, 41, func(o *history.Op) {
			o.Fence, o.Value, o.Revision = 2, "two", 4
		})
		s.op("o", "e", history.Observe, 42, 42, func(o *history.Op) {
			o.Fence, o.Value, o.Revision = 2, "one", 2
		})
		s.op("o", "e", history.Observe, 62, 62, func(o *history.Op) {
			o.Fence, o.Value, o.Revision = 4, "three", 5
		})
		s.op("o", "e", history.Observe, 72, 72, func(o *history.Op) { o.Revision = 6 })
		return s
	}
	check := func(rep *history.Report, s *scene) {
		history.Elections{Place: "e"}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"an old leader", func(s *scene) {
			s.edit("r", history.Read, func(o *history.Op) { o.Revision = 5 })
		}, "when it was"},
		{"an old value", func(s *scene) {
			s.edit("r", history.Read, func(o *history.Op) { o.Value = "one" })
		}, "when it was"},
		{"going back", func(s *scene) {
			s.op("o", "e", history.Observe, 80, 80, func(o *history.Op) {
				o.Fence, o.Value, o.Revision = 2, "two", 3
			})
		}, "saw revision 3 after 6"},
		{"a value that is lost", func(s *scene) {
			s.log[1].Events[0].Value = "one"
		}, "is not in the log"},
		{"a value that was refused", func(s *scene) {
			s.edit("a", history.Proclaim, func(o *history.Op) { o.Outcome = history.Refused })
		}, "was not proclaimed"},
		{"a value that came back", func(s *scene) {
			again := history.Event{Key: "e/1", Value: "one", Create: 2, Version: 3, Lease: 1}
			s.log[2].Events = append(s.log[2].Events, again)
		}, "came back"},
		{"two leaders", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Call = 65 })
		}, "after b had got"},
	})
}

func TestFaultsOfBarriersAreFound(t *testing.T) {
	good := func() *scene {
		s := &scene{}
		s.rev(2, put("b/1", ""))
		s.rev(3, put("b/2", ""))
		s.rev(4, put("b//rounds", record(3, `{"round":1,"first":2,"last":3}`)))
		s.rev(5, del("b/1"))
		s.rev(6, del("b/2"))
		s.rev(7, put("b/3", ""))
		s.rev(8, put("b//broken", ""), del("b/3")) // its context ended
		s.rev(9, put("b/4", ""))
		s.rev(10, put("b/5", ""))
		s.rev(11, put("b//rounds",
			record(10, `{"round":1,"first":2,"last":3},{"round":3,"first":9,"last":10}`)))
		s.rev(12, del("b/4"))
		s.rev(13, del("b/5"))
		for i, client := range []string{"a", "b"} {
			s.op(client, "b", history.Await, 10, 40, func(o *history.Op) {
				o.Round, o.Fence = 1, int64(2+i)
			})
		}
		return s
	}
	check := func(rep *history.Report, s *scene) {
		history.Barriers{Place: "b", Parties: 2}.Check(rep, s.log, s.ops)
	}
	mustFind(t, good, check, []bad{
		{"alone", func(s *scene) { s.log[1].Events[0].Key = "other" }, "a round of 1"},
		{"with one of a broken round", func(s *scene) {
			s.log[6].Events = s.log[6].Events[:1] // the member stays
			s.log[9].Events[0].Value = record(9, `{"round":3,"first":7,"last":9}`)
		}, "not that of the first who wait, 9 to 10"},
		{"over those who came before", func(s *scene) {
			s.log[2].Events[0].Value = record(3, `{"round":1,"first":3,"last":3}`)
		}, "not that of the first who wait, 2 to 3"},
		{"a number left out", func(s *scene) {
			s.log[2].Events[0].Value = record(3, `{"round":2,"first":2,"last":3}`)
		}, "behind 0"},
		{"a wrong reach", func(s *scene) {
			s.log[2].Events[0].Value = record(2, `{"round":1,"first":2,"last":3}`)
		}, "reaches to"},
		{"no record", func(s *scene) {
			s.log[2].Events[0].Value = "[]"
		}, "the record of rounds is"},
		{"a break of nothing", func(s *scene) { s.rev(14, put("b//broken", "")) }, "none is open"},
		{"too early", func(s *scene) {
			s.edit("b", history.Await, func(o *history.Op) { o.Call, o.Return = 50, 60 })
		}, "before another came"},
		{"another's round", func(s *scene) {
			s.edit("b", history.Await, func(o *history.Op) { o.Round = 2 })
		}, "passed round 2"},
		{"a broken round", func(s *scene) {
			s.edit("b", history.Await, func(o *history.Op) { o.Round, o.Fence = 2, 7 })
		}, "the log says"},
		{"another fate", func(s *scene) {
			s.log[9].Events[0].Value = record(10,
				`{"round":1,"first":2,"last":4},{"round":3,"first":9,"last":10}`)
		}, "the fate of a round was"},
		{"one too many", func(s *scene) {
			s.op("c", "b", history.Await, 10, 40, func(o *history.Op) { o.Round, o.Fence = 1, 3 })
		}, "3 passed"},
		{"a member that stays", func(s *scene) { s.log = s.log[:11] }, "nobody owns it"},
	})
}

// record returns the value of a barrier's record of rounds.
func record(reach int64, list string) string { return fmt.Sprintf("%019d [%s]", reach, list) }

func oneItem() *scene {
	s := &scene{}
	s.rev(2, put("q//q/9/0000000000000001", "{}\nx"))
	s.rev(3, put("q//q/9/0000000000000002", "{}\ny"))
	s.rev(4, put("q//c/9/0000000000000001", "tag"))
	s.rev(5, put("q//c/9/0000000000000002", "tag"))
	s.rev(6, del("q//c/9/0000000000000002")) // a Nack
	s.rev(7, del("q//c/9/0000000000000001"), del("q//q/9/0000000000000001"),
		put(history.DoneKey("q", "x"), ""))
	s.rev(8, put("q//c/9/0000000000000002", "tag"))
	s.rev(9, del("q//c/9/0000000000000002"), del("q//q/9/0000000000000002"),
		put(history.DoneKey("q", "y"), ""))
	s.op("p", "q", history.Enqueue, 10, 20, func(o *history.Op) { o.Value = "x" })
	s.op("p", "q", history.Enqueue, 25, 30, func(o *history.Op) { o.Value = "y" })
	work := func(client, value, place string, fence, from, to int64, attempt int, end string) {
		set := func(o *history.Op) {
			o.Key, o.Fence, o.Value, o.Attempt = "q//c/9/000000000000000"+place, fence, value,
				attempt
		}
		s.op(client, "q", history.Receive, from-5, from, set)
		s.op(client, "q", end, to, to+1, set)
	}
	work("c", "x", "1", 4, 40, 70, 1, history.Ack)
	work("d", "y", "2", 5, 50, 60, 1, history.Nack)
	work("e", "y", "2", 8, 80, 90, 2, history.Ack)
	return s
}

func TestFaultsOfQueuesAreFound(t *testing.T) {
	check := func(rep *history.Report, s *scene) {
		history.Queues{Place: "q", Drained: true}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, oneItem, check, []bad{
		{"lost", func(s *scene) { s.log = s.log[1:] }, "is lost"},
		{"left behind", func(s *scene) {
			s.log[7].Events = s.log[7].Events[:1]
		}, "was left behind"},
		{"duplicate", func(s *scene) {
			s.rev(10, put("q//q/9/0000000000000003", "{}\nx"))
		}, "was enqueued before"},
		{"not enqueued", func(s *scene) {
			s.edit("p", history.Enqueue, func(o *history.Op) { o.Outcome = history.Failed })
		}, "was not enqueued and is there"},
		{"by nobody", func(s *scene) {
			s.edit("p", history.Enqueue, func(o *history.Op) { o.Value = "z" })
		}, "nobody has enqueued"},
		{"claimed twice", func(s *scene) {
			s.log[4].Events = []history.Event{put("q//c/9/0000000000000001", "tag")}
		}, "a second time"},
		{"claimed where nothing is", func(s *scene) {
			s.log[3].Events[0].Key = "q//c/9/0000000000000007"
		}, "where there is no item"},
		{"out of order", func(s *scene) {
			s.edit("c", history.Receive, func(o *history.Op) { o.Call, o.Return = 55, 56 })
		}, "was called after"},
		{"done twice", func(s *scene) {
			s.log[7].Events[2].Key = history.DoneKey("q", "x")
		}, "does not remove it"},
		{"done without a claim", func(s *scene) {
			s.log[2].Events[0].Key = "other"
		}, "which nobody had claimed"},
		{"an ack that is not there", func(s *scene) {
			s.edit("c", history.Ack, func(o *history.Op) { o.Fence = 5 })
		}, "acked a claim"},
		{"an ack of a claim that was given back", func(s *scene) {
			s.edit("d", history.Nack, func(o *history.Op) { o.Verb = history.Ack })
		}, "does not say so"},
		{"an ack that was refused", func(s *scene) {
			s.edit("c", history.Ack, func(o *history.Op) { o.Outcome = history.Refused })
		}, "was refused and is in the log"},
		{"attempts", func(s *scene) {
			s.edit("e", history.Receive, func(o *history.Op) { o.Attempt = 1 })
		}, "it was claim 2"},
		{"two at a time", func(s *scene) {
			s.edit("d", history.Nack, func(o *history.Op) { o.Call = 85 })
		}, "after e had got"},
		{"still claimed", func(s *scene) { s.log = s.log[:7] }, "is still claimed"},
		{"overwritten", func(s *scene) {
			s.log[1].Events[0].Key = "q//q/9/0000000000000001"
		}, "overwrites"},
	})
}

func twoGroups() *scene {
	s := &scene{}
	s.rev(2, put("q//q/9/0000000000000001/g", "{}\nx"))
	s.rev(3, put("q//q/9/0000000000000002/g", "{}\ny"))
	s.rev(4, put("q//q/9/0000000000000003/h/i", "{}\nz"))
	s.rev(5, put("q//c/9/0000000000000001", "tag"))
	s.rev(6, put("q//c/9/0000000000000003", "tag"))
	s.rev(7, del("q//c/9/0000000000000001")) // a Nack
	s.rev(8, put("q//c/9/0000000000000001", "tag"))
	s.rev(9, del("q//c/9/0000000000000001"), del("q//q/9/0000000000000001/g"),
		put(history.DoneKey("q", "x"), ""))
	s.rev(10, put("q//c/9/0000000000000002", "tag"))
	s.rev(11, del("q//c/9/0000000000000002"), del("q//q/9/0000000000000002/g"),
		put(history.DoneKey("q", "y"), ""))
	s.rev(12, del("q//c/9/0000000000000003"), del("q//q/9/0000000000000003/h/i"),
		put(history.DoneKey("q", "z"), ""))
	for i, value := range []string{"x", "y", "z"} {
		at := int64(i) * 10
		s.op("p", "q", history.Enqueue, at+1, at+2, func(o *history.Op) { o.Value = value })
	}
	work := func(client, value, place string, fence, from, to int64, attempt int, end string) {
		set := func(o *history.Op) {
			o.Key, o.Fence, o.Value, o.Attempt = "q//c/9/000000000000000"+place, fence, value,
				attempt
		}
		s.op(client, "q", history.Receive, from-5, from, set)
		s.op(client, "q", end, to, to+1, set)
	}
	work("c", "x", "1", 5, 50, 70, 1, history.Nack)
	work("d", "z", "3", 6, 60, 120, 1, history.Ack)
	work("c", "x", "1", 8, 80, 90, 2, history.Ack)
	work("e", "y", "2", 10, 100, 110, 1, history.Ack)
	return s
}

func TestFaultsOfGroupsAreFound(t *testing.T) {
	check := func(rep *history.Report, s *scene) {
		history.Queues{Place: "q", Drained: true}.Check(rep, &history.Conditions{}, s.log, s.ops)
	}
	mustFind(t, twoGroups, check, []bad{
		{"beside the first", func(s *scene) {
			s.log[4].Events = append(s.log[4].Events, put("q//c/9/0000000000000002", "tag"))
		}, "which is the first of its group \"g\""},
		{"before one that was given back", func(s *scene) {
			s.log[6].Events[0].Key = "q//c/9/0000000000000002"
		}, "which is the first of its group \"g\""},
		{"lost", func(s *scene) { s.log = s.log[1:] }, "is lost"},
		{"left behind", func(s *scene) { s.log[10].Events = s.log[10].Events[:1] }, "was left behind"},
		{"done twice", func(s *scene) {
			s.log[9].Events[2].Key = history.DoneKey("q", "x")
		}, "does not remove it"},
	})
}
