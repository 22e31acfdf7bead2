package board

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

// name is the state of one name. The board's mutex guards it.
type name struct {
	name     string
	members  map[string]inspect.Member // of the line, and claims; by key
	settings map[string]string
	counts   map[inspect.Kind]int64
	depth    []Depth
	state    *cronState
	ticks    map[string]cron.Record     // by number
	nodes    map[string]member.Member   // by key
	places   map[string]inspect.Member  // of the lines of shards and leader; by key
	table    *table                     // of the shards
	broken   map[string]inspect.Break   // by key
	attempts map[string]gateway.LeaseID // of the schedule's attempts; by key
	changed  time.Time                  // of the last event
	empty    time.Time                  // since when it has no keys; zero if it has
	turns    []Turn
	shown    *Name
}

// held is a record of since when a hold is held.
type held struct {
	Fence int64     `json:"fence"`
	Since time.Time `json:"since"`
}

// cronState is the part of a schedule's state that is shown.
type cronState struct {
	Count   int64     `json:"count"`
	Last    time.Time `json:"last"`
	Running *struct {
		cron.Record
		Key string `json:"key"`
	} `json:"running"`
}

// table is the part of an assignment that is shown.
type table struct {
	N       int `json:"n"`
	Members []struct {
		ID string `json:"id"`
	} `json:"members"`
	Shards []int `json:"shards"`
}

func newName(text string) *name {
	n := &name{name: text}
	n.clear()
	return n
}

func (n *name) clear() {
	n.members, n.settings = map[string]inspect.Member{}, map[string]string{}
	n.counts, n.ticks = map[inspect.Kind]int64{}, map[string]cron.Record{}
	n.nodes, n.places = map[string]member.Member{}, map[string]inspect.Member{}
	n.broken, n.attempts = map[string]inspect.Break{}, map[string]gateway.LeaseID{}
	n.state, n.table = nil, nil
}

// isEmpty reports whether the name has no keys that it is shown for. Results of single runs and
// counters are none.
func (n *name) isEmpty() bool {
	if len(n.members)+len(n.nodes)+len(n.places)+len(n.ticks) > 0 {
		return false
	}
	for _, setting := range []string{"size", "parties", "raised", "tail", "state", "assignment"} {
		if _, ok := n.settings[setting]; ok {
			return false
		}
	}
	return n.counts[inspect.KindItem]+n.counts[inspect.KindDelayed]+n.counts[inspect.KindDead] == 0
}

// of returns a name to change, or nil if it is not one of the board's. mu must be locked.
func (b *Board) of(text string) *name {
	if !strings.HasPrefix(text, b.prefix) {
		return nil
	}
	n := b.names[text]
	if n == nil {
		n = newName(text)
		b.names[text] = n
	}
	b.touch(n)
	return n
}

// touch marks a name as changed.
func (b *Board) touch(n *name) {
	n.changed = time.Now()
	b.dirty[n] = true
}

// covers reports whether a feed with a prefix has the keys that begin with key.
func covers(prefix, key string) bool { return strings.HasPrefix(key, prefix) }

// clear removes everything that a feed with the prefix has put.
func (b *Board) clear(prefix string) {
	if covers(prefix, session.DefaultRecordPrefix) {
		clear(b.records)
		clear(b.since)
	}
	for _, n := range b.names {
		switch {
		case prefix == b.prefix:
			kept := n.broken
			n.clear()
			if !covers(prefix, inspect.BrokenPrefix) {
				n.broken = kept
			}
		case strings.HasPrefix(prefix, inspect.BrokenPrefix):
			clear(n.broken)
		}
		b.touch(n)
	}
}

// add adds to the number of items of a queue.
func (b *Board) add(key inspect.Key, count int64) {
	n := b.of(key.Name)
	if n == nil {
		return
	}
	n.counts[key.Kind] += count
}

// put applies a key that was put.
func (b *Board) put(kv gateway.KeyValue) {
	key := inspect.Classify(kv.Key)
	switch key.Kind {
	case inspect.KindRecord:
		b.putRecord(key, kv)
		return
	case inspect.KindSince:
		var h held
		if json.Unmarshal(kv.Value, &h) == nil {
			b.since[key.Rest] = h
			b.touchHolder(key.Rest)
		}
		return
	default:
	}
	if key.Kind == inspect.KindMember && b.names[key.Name] == nil {
		if _, ok := inspect.MemberOf(kv); !ok {
			return // of another program
		}
	}
	n := b.of(key.Name)
	if n == nil {
		return
	}
	switch key.Kind {
	case inspect.KindMember, inspect.KindClaim:
		m, ok := inspect.MemberOf(kv)
		m.Value = cut(m.Value)
		if ok {
			n.members[kv.Key] = m
		} else {
			delete(n.members, kv.Key)
		}
	case inspect.KindShard, inspect.KindLeader:
		if m, ok := inspect.MemberOf(kv); ok {
			m.Value = cut(m.Value)
			n.places[kv.Key] = m
		}
	case inspect.KindNode:
		if m, ok := member.Of(key.Name, kv); ok {
			m.Value = cut(m.Value)
			n.nodes[kv.Key] = m
		}
	case inspect.KindRunning:
		n.attempts[kv.Key] = kv.Lease
	case inspect.KindHistory:
		n.putTick(key.Rest, kv.Value)
	case inspect.KindBroken:
		var record inspect.Break
		if json.Unmarshal(kv.Value, &record) == nil {
			record.Reason = cut(record.Reason)
			n.broken[kv.Key] = record
		}
	case inspect.KindSetting:
		n.putSetting(key.Rest, kv.Value)
	default:
	}
}

func (n *name) putSetting(setting string, value []byte) {
	switch setting {
	case "state":
		var st cronState
		if json.Unmarshal(value, &st) == nil {
			n.state = &st
		}
	case "assignment":
		var t table
		if json.Unmarshal(value, &t) == nil {
			n.table = &t
		}
	}
	n.settings[setting] = cut(string(value))
}

// maxTicks is the number of the last ticks of a schedule that are kept.
const maxTicks = 16

func (n *name) putTick(number string, value []byte) {
	var r cron.Record
	if json.Unmarshal(value, &r) != nil {
		return
	}
	r.Error, r.By = cut(r.Error), cut(r.By)
	n.ticks[number] = r
	for len(n.ticks) > maxTicks {
		first := number
		for other := range n.ticks {
			first = min(first, other)
		}
		delete(n.ticks, first)
	}
}

func (b *Board) putRecord(key inspect.Key, kv gateway.KeyValue) {
	lease, err := gateway.ParseLeaseID(key.Rest)
	var info session.Info
	if err != nil || json.Unmarshal(kv.Value, &info) != nil {
		return
	}
	info.Name, info.Host = cut(info.Name), cut(info.Host)
	b.records[lease] = &info
	l := b.lease(lease)
	l.changed = true
	for n := range l.names {
		b.touch(n)
	}
}

// touchHolder marks the name of a hold as changed.
func (b *Board) touchHolder(key string) {
	if n := b.names[inspect.Classify(key).Name]; n != nil {
		b.touch(n)
	}
}

// remove applies the deletion of a key.
func (b *Board) remove(text string) {
	key := inspect.Classify(text)
	switch key.Kind {
	case inspect.KindRecord:
		if lease, err := gateway.ParseLeaseID(key.Rest); err == nil {
			delete(b.records, lease)
			b.lease(lease).changed = true
		}
		return
	case inspect.KindSince:
		delete(b.since, key.Rest)
		return
	default:
	}
	n := b.names[key.Name]
	if n == nil {
		return
	}
	b.touch(n)
	switch key.Kind {
	case inspect.KindMember, inspect.KindClaim:
		delete(n.members, text)
	case inspect.KindShard, inspect.KindLeader:
		delete(n.places, text)
	case inspect.KindNode:
		delete(n.nodes, text)
	case inspect.KindRunning:
		delete(n.attempts, text)
	case inspect.KindHistory:
		delete(n.ticks, key.Rest)
	case inspect.KindBroken:
		delete(n.broken, text)
	case inspect.KindSetting:
		delete(n.settings, key.Rest)
		switch key.Rest {
		case "state":
			n.state = nil
		case "assignment":
			n.table = nil
		}
	default:
	}
}

// cut returns the beginning of a text.
func cut(s string) string {
	if len(s) <= MaxValue {
		return s
	}
	end := MaxValue
	for end > MaxValue-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.Clone(s[:end]) + "…"
}
