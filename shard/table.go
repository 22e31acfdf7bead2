package shard

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// table is the assignment of the shards to members. It is the value of a key that the leader of the
// group writes.
type table struct {
	N       int    `json:"n"` // 0 if there is no assignment
	Members []node `json:"members"`
	Shards  []int  `json:"shards"`          // the index of the member of each shard, or noMember
	Homes   []int  `json:"homes,omitempty"` // of the homes; nil if all shards are there
	Loads   []int  `json:"loads,omitempty"` // of the shards, or unknownLoad; nil if none is known
}

func (t table) encode() []byte {
	value, _ := json.Marshal(t) // strings and numbers cannot fail
	return value
}

// decodeTable returns the zero table if kvs is empty, and for a value that this library does not
// write. The members keep their shards then, and the leader puts the assignment again.
func decodeTable(kvs []gateway.KeyValue) table {
	var t table
	if len(kvs) == 0 {
		return t
	}
	err := json.Unmarshal(kvs[0].Value, &t)
	wrong := func(i int) bool { return i < noMember || i >= len(t.Members) }
	if err != nil || t.N < 1 || len(t.Shards) != t.N || t.Homes != nil && len(t.Homes) != t.N ||
		t.Loads != nil && len(t.Loads) != t.N || slices.ContainsFunc(t.Loads, wrongLoad) ||
		slices.ContainsFunc(t.Shards, wrong) || slices.ContainsFunc(t.Homes, wrong) {
		return table{}
	}
	return t
}

func wrongLoad(load int) bool { return load < unknownLoad || load > MaxLoad }

// owner returns the member of a shard.
func (t table) owner(shard int) (_ node, ok bool) { return t.at(t.Shards, shard) }

// at returns the member of a shard in Shards or Homes.
func (t table) at(places []int, shard int) (_ node, ok bool) {
	if shard >= len(places) || places[shard] == noMember {
		return node{}, false
	}
	return t.Members[places[shard]], true
}

// of returns the shards of a member.
func (t table) of(id string) map[int]bool {
	mine := map[int]bool{}
	i := slices.IndexFunc(t.Members, func(m node) bool { return m.ID == id })
	for s, to := range t.Shards {
		if i >= 0 && to == i {
			mine[s] = true
		}
	}
	return mine
}

// empty reports whether no member takes shards.
func (t table) empty() bool {
	return t.N > 0 && !slices.ContainsFunc(t.Shards, func(i int) bool { return i != noMember })
}

// moves returns the number of shards that have another member in to, or none.
func (t table) moves(to table) (moved int) {
	for s := range max(t.N, to.N) {
		a, _ := t.owner(s)
		b, _ := to.owner(s)
		if a.ID != b.ID {
			moved++
		}
	}
	return moved
}

func tableKey(group string) string { return group + "//assignment" }

// checkN returns [ErrMismatch] when the members that made the table have another number of shards.
func (t table) checkN(n int) error {
	if t.N != 0 && t.N != n {
		return fmt.Errorf("%w: %d shards, and the group has %d", ErrMismatch, n, t.N)
	}
	return nil
}
