package inspect

import (
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Kind is the kind of a key.
type Kind int

// The kinds of keys that [Classify] knows.
const (
	KindOther   Kind = iota // of no name, or not shown
	KindMember              // perhaps: [MemberOf] decides
	KindClaim               // of an item of a queue
	KindSetting             // Rest is the setting's name
	KindItem                // of a queue: at the end of the queue, delayed, or dead
	KindDelayed
	KindDead
	KindNode    // a member of a group; Rest is its ID
	KindShard   // a member of the line of a shard; Rest is the shard's number
	KindLeader  // a member of the line of a group's leader
	KindRunning // an attempt of a schedule
	KindHistory // a tick of a schedule that has ended; Rest is its number
	KindRecord  // a session record; Rest is the lease
	KindSince   // shows since when a hold is held; Rest is the hold's key
	KindBroken  // the record of a hold that was broken
)

// Key is the meaning of a key.
type Key struct {
	Kind Kind
	Name string
	Rest string
}

// Classify reads the form of a key.
func Classify(key string) Key {
	if rest, ok := strings.CutPrefix(key, session.DefaultRecordPrefix); ok {
		lease, held, below := strings.Cut(rest, "/")
		held, since := strings.CutPrefix(held, "since/")
		switch {
		case !below:
			return Key{Kind: KindRecord, Rest: lease}
		case since:
			return Key{Kind: KindSince, Rest: held}
		}
		return Key{}
	}
	if rest, ok := strings.CutPrefix(key, BrokenPrefix); ok {
		name := rest[:max(strings.LastIndexByte(rest, '/'), 0)]
		name, _, _ = strings.Cut(name+"/", claimPart)
		return Key{Kind: KindBroken, Name: strings.TrimSuffix(name, "/"), Rest: rest}
	}
	name, rest, found := strings.Cut(key, "//")
	if !found {
		slash := strings.LastIndexByte(key, '/')
		if slash < 1 || leaseOf(key) == 0 && !memberForm.MatchString(lastPart(key)) {
			return Key{}
		}
		return Key{Kind: KindMember, Name: key[:slash]}
	}
	if name == "" {
		return Key{}
	}
	if after, ok := strings.CutPrefix(rest, "/"); ok { // the setting of a name that ends in a slash
		name, rest = name+"/", after
	}
	return below(name, rest)
}

// allSettings are the settings that a name can have.
var allSettings = append([]string{
	"heir", "rounds", "broken", "count", "result", "failure", "trigger",
	"counter", "next", "assignment", "gaps",
}, settings...)

// below reads the form of a key from the part after the two slashes that follow the name.
func below(name, rest string) Key {
	part, rest, deeper := strings.Cut(rest, "/")
	if !deeper {
		if leaseOf(part) != 0 { // of a name that ends in a slash
			return Key{Kind: KindMember, Name: name + "/"}
		}
		if !slices.Contains(allSettings, part) {
			return Key{}
		}
		return Key{Kind: KindSetting, Name: name, Rest: part}
	}
	kind, ok := map[string]Kind{
		"q": KindItem, "d": KindDelayed, "x": KindDead, "c": KindClaim, "members": KindNode,
		"shards": KindShard, "leader": KindLeader, "running": KindRunning, "history": KindHistory,
	}[part]
	if !ok {
		return Key{}
	}
	if kind == KindShard {
		rest, _, _ = strings.Cut(rest, "/")
	}
	return Key{Kind: kind, Name: name, Rest: rest}
}

// MemberOf returns the member of a key whose kind is KindMember, KindClaim, KindShard or
// KindLeader. ok is false if the key is not a member's. A member without a lease is one.
func MemberOf(kv gateway.KeyValue) (m Member, ok bool) {
	m = Member{Key: kv.Key, Lease: leaseOf(kv.Key)}
	switch shown := m.read(kv); {
	case shown:
		return m, true
	case kv.Lease == 0:
		return m, memberForm.MatchString(lastPart(kv.Key))
	}
	return m, m.Lease == kv.Lease
}

// Arrange sorts the members, and derives the recipe and the holders from members and settings.
func (p *Place) Arrange() { p.arrange() }
