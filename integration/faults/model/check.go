package model

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// Timeout bounds one search. A search that does not end in time is a failure, not a pass.
const Timeout = 20 * time.Second

// never is the return time of a call that may take effect at any later time.
const never = math.MaxInt64

// in is the input of a model: a call and whether it was refused.
type in struct {
	verb    string
	fence   int64
	key     string
	weight  int
	value   string
	process string
	refused bool
}

// Verdict is the result of the search for one place.
type Verdict struct {
	Place  string
	Ops    int
	Result porcupine.CheckResult
	model  porcupine.Model
	info   porcupine.LinearizationInfo
}

// Legal reports whether the search found an order.
func (v *Verdict) Legal() bool { return v.Result == porcupine.Ok }

// Save writes a drawing of the history to an HTML file. It shows marks above the history; their
// times are of the history's clock. Save returns an error if the file cannot be written.
func (v *Verdict) Save(path string, marks map[string][2]int64) error {
	var notes []porcupine.Annotation
	for what, at := range marks {
		notes = append(notes, porcupine.Annotation{
			Tag: "faults", Start: at[0], End: at[1],
			Description: what,
		})
	}
	v.info.AddAnnotations(notes)
	return porcupine.VisualizePath(v.model, v.info, path)
}

// trace is the history of one place in porcupine's form.
type trace struct {
	place   string
	clients map[string]int
	ops     []porcupine.Operation
}

func newTrace(place string) *trace { return &trace{place: place, clients: map[string]int{}} }

// add adds a call. A call that may still take effect after it returned gets a client of its own.
func (t *trace) add(client string, call, back int64, i in) {
	if back == never {
		client = fmt.Sprintf("%s, open %d", client, len(t.ops))
	}
	id, ok := t.clients[client]
	if !ok {
		id = len(t.clients)
		t.clients[client] = id
	}
	t.ops = append(t.ops, porcupine.Operation{ClientId: id, Input: i, Call: call, Return: back})
}

func (t *trace) check(m porcupine.Model) *Verdict {
	m.DescribeOperation = func(input, _ any) string {
		i := input.(in)
		text := i.verb
		if i.fence != 0 {
			text += fmt.Sprintf(" @%d", i.fence)
		}
		if i.weight > 0 {
			text += fmt.Sprintf(" of %d", i.weight)
		}
		if i.value != "" {
			text += " " + i.value
		}
		if i.refused {
			text += ": refused"
		}
		return text
	}
	v := &Verdict{Place: t.place, Ops: len(t.ops), model: m}
	v.Result, v.info = porcupine.CheckOperationsVerbose(m, t.ops, Timeout)
	return v
}

// holds adds the grants and the ends of holds. A loss takes effect at some time after the end of
// the hold's context or, if early, at any time after the server's grant, which may be before its
// answer arrives. applied names the ends of unknown
// outcome that were applied and that other clients can see. It is nil if that makes no difference.
func (t *trace) holds(
	c *history.Conditions, ops []history.Op, early bool, applied map[string]bool,
) {
	var rep history.Report // not used, because package history reports violations of holds
	ended := map[string]history.Op{}
	for _, o := range ops {
		if o.Verb != history.Unlock && o.Verb != history.Ack && o.Verb != history.Nack {
			continue
		}
		what := incarnation(o.Key, o.Fence)
		if open := o.Outcome == history.Unknown || o.Outcome == ""; o.Outcome == history.OK ||
			open && (applied == nil || applied[what]) {
			ended[what] = o
		}
	}
	values := map[string]string{}
	for _, o := range ops {
		if o.Outcome == history.OK && (o.Verb == history.Lock || o.Verb == history.Receive) {
			values[incarnation(o.Key, o.Fence)] = o.Value
		}
	}
	for _, h := range c.Holds(&rep, ops) {
		value := values[incarnation(h.Key, h.Fence)]
		process, _, _ := strings.Cut(h.Client, "/")
		t.add(h.Client, h.Call, h.From, in{
			verb: "hold", fence: h.Fence, key: h.Key,
			weight: h.Weight, value: value, process: process,
		})
		end, ok := ended[incarnation(h.Key, h.Fence)]
		switch {
		case ok && end.Outcome == history.OK:
			t.add(h.Client, end.Call, end.Return, in{
				verb: end.Verb, fence: h.Fence, key: h.Key,
				weight: h.Weight, value: value, process: process,
			})
		// The release takes effect at some time from then on.
		case ok && (applied != nil || !h.Lost):
			from := end.Call
			if early && applied == nil {
				from = h.Call
			}
			t.add(h.Client, from, never, in{
				verb: end.Verb, fence: h.Fence, key: h.Key,
				weight: h.Weight, value: value,
			})
		case h.Lost || h.To != math.MaxInt64:
			from := h.To
			switch {
			case h.Asleep, early:
				from = h.Call
			}
			t.add(h.Client, from, never, in{
				verb: history.Lose, fence: h.Fence, key: h.Key,
				weight: h.Weight, value: value,
			})
		}
	}
}

func incarnation(key string, fence int64) string { return fmt.Sprintf("%s@%d", key, fence) }

// writes adds the guarded writes. A write of unknown outcome is added only if written has it.
func (t *trace) writes(ops []history.Op, written map[string]bool) {
	for _, o := range ops {
		if o.Verb != history.Write && o.Verb != history.Stale && o.Verb != history.Proclaim {
			continue
		}
		i := in{verb: "write", fence: o.Fence, key: o.Key, value: o.Value}
		switch o.Outcome {
		case history.OK:
			t.add(o.Client, o.Call, o.Return, i)
		case history.Refused:
			i.refused = true
			t.add(o.Client, o.Call, o.Return, i)
		case history.Unknown, "":
			if written[o.Token()] || written[o.Value] {
				t.add(o.Client, o.Call, never, i)
			}
		}
	}
}

// Written returns the tokens of all guarded writes, proclamations and items in the log.
func Written(log history.Log) map[string]bool {
	all := map[string]bool{}
	for _, r := range log {
		for _, ev := range r.Events {
			if _, item, ok := strings.Cut(ev.Value, "\n"); ok && strings.Contains(ev.Key, "//q/") {
				all[item] = true
			} else if _, token, ok := strings.Cut(ev.Value, " "); ok {
				all[token] = true
			}
			all[ev.Value] = true
		}
	}
	return all
}
