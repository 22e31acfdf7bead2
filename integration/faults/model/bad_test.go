package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/model"
)

// The searches must find an order for the correct histories and none for the others.

type scene struct{ ops []history.Op }

func (s *scene) op(client, verb string, call, back int64, set func(*history.Op)) {
	o := history.Op{
		ID: len(s.ops) + 1, Client: client, Place: "p", Verb: verb, Call: call,
		Return: back, Outcome: history.OK,
	}
	set(&o)
	s.ops = append(s.ops, o)
}

// hold adds a grant, whose call took 5, and the call that ended the hold.
func (s *scene) hold(client string, fence, from, to int64, end string) {
	set := func(o *history.Op) { o.Key, o.Fence, o.Weight, o.Value = "p/"+client, fence, 1, client }
	s.op(client, history.Lock, from-5, from, set)
	s.op(client, end, to, to+5, set)
}

func (s *scene) write(client string, fence, at int64, outcome history.Outcome) {
	s.op(client, history.Write, at, at+2, func(o *history.Op) {
		o.Key, o.Fence, o.Outcome = "p/"+client, fence, outcome
	})
}

type one struct {
	name  string
	ops   func(*scene)
	legal bool
}

func search(t *testing.T, all []one, check func([]history.Op) *model.Verdict) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			var s scene
			c.ops(&s)
			if v := check(s.ops); v.Legal() != c.legal {
				t.Errorf("%s", v.Result)
			}
		})
	}
}

func TestTheSearchFindsFaultsOfAMutex(t *testing.T) {
	search(t, []one{
		{"one after the other", func(s *scene) {
			s.hold("a", 1, 10, 20, history.Unlock)
			s.hold("b", 2, 30, 40, history.Unlock)
		}, true},
		{"at the same time", func(s *scene) {
			s.hold("a", 1, 10, 40, history.Unlock)
			s.hold("b", 2, 30, 50, history.Unlock)
		}, false},
		{"lost in time", func(s *scene) {
			s.hold("a", 1, 10, 29, history.Lose)
			s.hold("b", 2, 30, 50, history.Unlock)
		}, true},
		{"lost too late", func(s *scene) {
			s.hold("a", 1, 10, 31, history.Lose)
			s.hold("b", 2, 30, 50, history.Unlock)
		}, false},
		{"a smaller fence", func(s *scene) {
			s.hold("a", 2, 10, 20, history.Unlock)
			s.hold("b", 1, 30, 40, history.Unlock)
		}, false},
		{"a write under the hold, and one too late", func(s *scene) {
			s.hold("a", 1, 10, 20, history.Lose)
			s.write("a", 1, 15, history.OK)
			s.hold("b", 2, 30, 50, history.Unlock)
			s.write("a", 1, 40, history.Refused)
		}, true},
		{"a stale write", func(s *scene) {
			s.hold("a", 1, 10, 20, history.Lose)
			s.hold("b", 2, 30, 50, history.Unlock)
			s.write("a", 1, 40, history.OK)
		}, false},
		{"a refused write of the holder", func(s *scene) {
			s.hold("a", 1, 10, 20, history.Unlock)
			s.write("a", 1, 15, history.Refused)
		}, false},
		{"an unlock of unknown fate", func(s *scene) {
			s.hold("a", 1, 10, 20, history.Unlock)
			s.ops[1].Outcome = history.Unknown
			s.hold("b", 2, 300, 400, history.Unlock)
		}, true},
	}, func(ops []history.Op) *model.Verdict {
		return model.Mutex(&history.Conditions{}, "p", ops, nil, false)
	})
}

func TestAnEarlyLossMayOverlapInAMutex(t *testing.T) {
	var s scene
	s.hold("a", 1, 10, 31, history.Lose)
	s.hold("b", 2, 30, 50, history.Unlock)
	c := &history.Conditions{Early: true}
	if !model.Mutex(c, "p", s.ops, nil, false).Legal() {
		t.Error("a loss that the server caused is not allowed for")
	}
	if model.Mutex(c, "p", s.ops, nil, true).Legal() {
		t.Error("an overlap in spite of a lock delay was not found")
	}
}

// TestAGrantAfterAnEarlyRevocationMayOverlap: the grant of a arrives after the server has revoked
// its lease and granted the next one. a gives it back before it learns of the loss.
func TestAGrantAfterAnEarlyRevocationMayOverlap(t *testing.T) {
	var s scene
	s.hold("a", 1, 35, 36, history.Unlock)
	s.ops[0].Call, s.ops[1].Outcome = 5, history.Unknown
	s.hold("b", 2, 30, 50, history.Unlock)
	c := &history.Conditions{Early: true}
	if !model.Mutex(c, "p", s.ops, nil, false).Legal() {
		t.Error("a loss that the server caused is not allowed for")
	}
	if model.Mutex(&history.Conditions{}, "p", s.ops, nil, false).Legal() {
		t.Error("an overlap without an early revocation was not found")
	}
}

// TestAFrozenClientNeverHeld: a client that was frozen when the grant arrived, and lost the hold
// before it woke up, never held. A short loss is not enough for that.
func TestAFrozenClientNeverHeld(t *testing.T) {
	var s scene
	s.hold("a", 1, 100, 101, history.Lose)
	s.ops[0].Call = 5
	s.hold("b", 2, 30, 50, history.Unlock)
	c := &history.Conditions{Frozen: []history.Span{{Client: "a", From: 10, To: 90}}}
	if !model.Mutex(c, "p", s.ops, nil, false).Legal() {
		t.Error("a process that was frozen is not allowed for")
	}
	c.Frozen[0].Client = "x"
	if model.Mutex(c, "p", s.ops, nil, false).Legal() {
		t.Error("a grant behind the next one was not found")
	}
}

func TestTheSearchFindsFaultsOfASemaphore(t *testing.T) {
	search(t, []one{
		{"two of two", func(s *scene) {
			s.hold("a", 1, 10, 40, history.Unlock)
			s.hold("b", 2, 20, 50, history.Unlock)
			s.hold("c", 3, 60, 70, history.Unlock)
		}, true},
		{"three of two", func(s *scene) {
			s.hold("a", 1, 10, 40, history.Unlock)
			s.hold("b", 2, 20, 50, history.Unlock)
			s.hold("c", 3, 30, 70, history.Unlock)
		}, false},
		{"a heavy one beside another", func(s *scene) {
			s.hold("a", 1, 10, 40, history.Unlock)
			s.ops[0].Weight = 2
			s.hold("b", 2, 20, 50, history.Unlock)
		}, false},
		{"lost too late", func(s *scene) {
			s.hold("a", 1, 10, 35, history.Lose)
			s.hold("b", 2, 20, 50, history.Unlock)
			s.hold("c", 3, 30, 70, history.Unlock)
		}, false},
	}, func(ops []history.Op) *model.Verdict {
		return model.Semaphore(&history.Conditions{}, "p", 2, ops, nil)
	})
}

func TestTheSearchFindsFaultsOfAnElection(t *testing.T) {
	read := func(s *scene, fence, at int64, value string) {
		s.op("r", history.Read, at, at+1, func(o *history.Op) { o.Fence, o.Value = fence, value })
	}
	terms := func(s *scene) {
		s.hold("a", 1, 10, 20, history.Unlock)
		s.op("a", history.Proclaim, 12, 14, func(o *history.Op) { o.Fence, o.Value = 1, "a2" })
		s.hold("b", 2, 30, 50, history.Unlock)
	}
	search(t, []one{
		{"who leads", func(s *scene) {
			terms(s)
			read(s, 1, 11, "a")
			read(s, 1, 16, "a2")
			read(s, 2, 35, "b")
		}, true},
		{"an old leader", func(s *scene) { terms(s); read(s, 1, 35, "a2") }, false},
		{"an old value", func(s *scene) { terms(s); read(s, 1, 16, "a") }, false},
		{"back again", func(s *scene) {
			terms(s)
			read(s, 1, 13, "a2")
			read(s, 1, 15, "a")
		}, false},
		{"nobody's value", func(s *scene) { terms(s); read(s, 1, 16, "c") }, false},
	}, func(ops []history.Op) *model.Verdict {
		return model.Election(&history.Conditions{}, "p", ops, nil)
	})
}

func TestTheSearchFindsFaultsOfAQueue(t *testing.T) {
	enqueue := func(s *scene, value string, at int64) {
		s.op("p", history.Enqueue, at, at+1, func(o *history.Op) { o.Value = value })
	}
	work := func(s *scene, client, value string, fence, from, to int64, end string) {
		set := func(o *history.Op) { o.Key, o.Fence, o.Value = "p//c/"+value, fence, value }
		s.op(client, history.Receive, from-2, from, set)
		if end != "" {
			s.op(client, end, to, to+1, set)
		}
	}
	two := func(s *scene) { enqueue(s, "x", 1); enqueue(s, "y", 3) }
	search(t, []one{
		{"in order", func(s *scene) {
			two(s)
			work(s, "a", "x", 1, 10, 30, history.Ack)
			work(s, "b", "y", 2, 20, 40, history.Ack)
		}, true},
		{"out of order", func(s *scene) {
			two(s)
			work(s, "a", "y", 1, 10, 30, history.Ack)
			work(s, "b", "x", 2, 20, 40, history.Ack)
		}, false},
		{"with two at a time", func(s *scene) {
			two(s)
			work(s, "a", "x", 1, 10, 30, history.Ack)
			work(s, "b", "x", 2, 20, 40, "")
		}, false},
		{"delivered again after an ack", func(s *scene) {
			two(s)
			work(s, "a", "x", 1, 10, 20, history.Ack)
			work(s, "b", "x", 2, 30, 40, "")
		}, false},
		{"given back and first again", func(s *scene) {
			two(s)
			work(s, "a", "x", 1, 10, 15, history.Nack)
			work(s, "b", "x", 2, 20, 40, history.Ack)
		}, true},
		{"passed over by one who was not told yet that it was given back", func(s *scene) {
			two(s)
			work(s, "a", "x", 1, 10, 15, history.Nack)
			work(s, "b", "y", 2, 20, 40, history.Ack)
			work(s, "b", "x", 3, 50, 60, history.Ack)
		}, true},
		{"passed over by the process that gave it back", func(s *scene) {
			two(s)
			work(s, "a/1", "x", 1, 10, 15, history.Nack)
			work(s, "a/2", "y", 2, 20, 40, history.Ack)
		}, false},
		{"passed over by a call that began before it was given back", func(s *scene) {
			two(s)
			work(s, "a/1", "x", 1, 10, 19, history.Nack)
			work(s, "a/2", "y", 2, 20, 40, history.Ack)
			work(s, "a/2", "x", 3, 50, 60, history.Ack)
		}, true},
		{"lost, and passed over before anybody knew", func(s *scene) {
			two(s)
			work(s, "a/1", "x", 1, 10, 15, history.Lose)
			work(s, "a/2", "y", 2, 20, 40, history.Ack)
		}, true},
		{"two passed over after one was given back", func(s *scene) {
			two(s)
			enqueue(s, "z", 5)
			work(s, "a", "x", 1, 10, 15, history.Nack)
			work(s, "b", "z", 2, 20, 40, history.Ack)
		}, false},
		{"never enqueued", func(s *scene) { work(s, "a", "z", 1, 10, 20, history.Ack) }, false},
		{"duplicate", func(s *scene) { enqueue(s, "x", 1); enqueue(s, "x", 3) }, false},
		{"lost too late", func(s *scene) {
			two(s)
			work(s, "a", "x", 1, 10, 25, history.Lose)
			work(s, "b", "x", 2, 20, 40, history.Ack)
		}, false},
	}, func(ops []history.Op) *model.Verdict {
		return model.Queue(&history.Conditions{}, "p", ops, nil)
	})
}

func TestSaveShowsTheFault(t *testing.T) {
	var s scene
	s.hold("a", 1, 10, 40, history.Unlock)
	s.hold("b", 2, 30, 50, history.Unlock)
	v := model.Mutex(&history.Conditions{}, "p", s.ops, nil, false)
	path := filepath.Join(t.TempDir(), "p.html")
	if err := v.Save(path, map[string][2]int64{"the end of the world": {15, 25}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "the end of the world") ||
		!strings.Contains(string(text), "hold @2") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
