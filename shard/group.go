package shard

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
	"github.com/holdfast-go/holdfast/member"
)

// groupCopy is the reducer of all keys of a group, which all observers of a client share.
type groupCopy struct {
	*listwatch.Cache
	group string
	readers

	revision int64
	members  map[string]member.Member // by ID
	lines    map[int][]place          // the holder of each shard, and then the next ones
	table    table
	orders   orders
}

// place is a member of the line of a shard.
type place struct {
	key, id, value string
	fence          int64
}

// groups is global because the observers of a client must share its copies.
var groups listwatch.Pool[*groupCopy]

func acquireGroup(c *gateway.Client, group string) *groupCopy {
	id := listwatch.ID{Client: c, Kind: "shards", Key: group + "//"}
	return groups.Acquire(id, func() *groupCopy {
		g := newGroupCopy(group)
		g.Cache = listwatch.New(c, g, []string{id.Key}, gateway.Prefix())
		return g
	})
}

func newGroupCopy(group string) *groupCopy {
	return &groupCopy{
		group: group, members: map[string]member.Member{}, lines: map[int][]place{},
		orders: newOrders(),
	}
}

// List takes a read of the group.
func (g *groupCopy) List(read *gateway.GetResponse) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := newGroupCopy(g.group)
	g.members, g.lines, g.table, g.orders =
		fresh.members, fresh.lines, fresh.table, fresh.orders
	for _, kv := range read.KVs {
		g.put(kv)
	}
	g.synced, g.revision = true, read.Revision
	g.wakeAll()
}

// Apply takes the events of one revision.
func (g *groupCopy) Apply(events []gateway.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, ev := range events {
		g.revision = ev.KV.ModRevision
		g.remove(ev.KV.Key)
		if !ev.Deleted {
			g.put(ev.KV)
		}
	}
	g.wakeAll()
}

// remove forgets a key.
func (g *groupCopy) remove(key string) {
	if shard, ok := g.shardOf(key); ok {
		is := func(p place) bool { return p.key == key }
		g.lines[shard] = slices.DeleteFunc(g.lines[shard], is)
	}
	if m, ok := strings.CutPrefix(key, member.KeyOf(g.group, "")); ok {
		delete(g.members, m)
	}
	if key == tableKey(g.group) {
		g.table = table{}
	}
	g.orders.remove(g.group, key)
}

// put takes a key that it does not have.
func (g *groupCopy) put(kv gateway.KeyValue) {
	if shard, ok := g.shardOf(kv.Key); ok {
		id, value, _ := strings.Cut(string(kv.Value), "\n") // as [Shard.SetValue] puts it
		p := place{key: kv.Key, id: id, value: value, fence: kv.CreateRevision}
		g.lines[shard] = append(g.lines[shard], p)
		slices.SortFunc(g.lines[shard], func(a, b place) int {
			return cmp.Compare(a.fence, b.fence)
		})
	}
	if m, ok := member.Of(g.group, kv); ok {
		g.members[m.ID] = m
	}
	if kv.Key == tableKey(g.group) {
		g.table = decodeTable([]gateway.KeyValue{kv})
	}
	g.orders.put(g.group, kv)
}

// shardOf returns the shard of a key in its line.
func (g *groupCopy) shardOf(key string) (shard int, ok bool) {
	rest, ok := strings.CutPrefix(key, g.group+"//shards/")
	number, own, found := strings.Cut(rest, "/")
	shard, err := strconv.Atoi(number)
	return shard, ok && found && err == nil && !strings.Contains(own, "/")
}

// holder returns the holder of a shard, or nil.
func (g *groupCopy) holder(shard int) *Holder {
	line := g.lines[shard]
	if len(line) == 0 {
		return nil
	}
	first := line[0]
	m, ok := g.members[first.id]
	if !ok {
		m.ID = first.id
	}
	return &Holder{
		Shard: shard, Fence: first.fence, Key: first.key, Member: m,
		Value: cmp.Or(first.value, m.Value),
	}
}

// view returns the state of the group. ok is false if the copy is not complete.
func (g *groupCopy) view() (_ View, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.table.N
	orders := g.orders.clone()
	v := View{
		Revision: g.revision, Holders: make([]*Holder, n), Assigned: make([]string, n),
		Paused: orders.paused, Drained: orders.drained, members: map[string]bool{},
	}
	for id := range g.members {
		v.members[id] = true
	}
	for s := range n {
		owner, _ := g.table.owner(s)
		v.Holders[s], v.Assigned[s] = g.holder(s), owner.ID
	}
	return v, g.synced
}
