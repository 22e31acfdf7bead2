package shard

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/holdfast-go/holdfast/member"
)

// inputs are the state of a group from which its leader makes the assignment.
type inputs struct {
	wake chan struct{} // receives after a change

	mu      sync.Mutex
	ready   int // the parts that are complete
	members []node
	orders  orders
	loads   map[int]int // by shard, as last reported by any member
	gone    bool        // the assignment does not exist
}

// The parts of the inputs. The leader decides when it has all, because an assignment without the
// orders or the loads would move shards in vain.
const (
	readyMembers = 1 << iota
	readyOrders
	readyLoads
	readyAll = readyMembers | readyOrders | readyLoads
)

func newInputs() *inputs {
	return &inputs{wake: make(chan struct{}, 1), orders: newOrders(), loads: map[int]int{}}
}

func (in *inputs) change(do func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	do()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func (in *inputs) setLoads(of map[int]int) {
	in.change(func() { maps.Copy(in.loads, of) })
}

// decide returns the assignment that follows now. Drained members have no shards. ok is false while
// the inputs are not complete, or there are no members.
func (in *inputs) decide(n int, now table) (next table, drains, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ready != readyAll || len(in.members) == 0 {
		return table{}, false, false
	}
	members := slices.Clone(in.members)
	for i := range members {
		if _, drained := in.orders.drained[members[i].ID]; drained {
			members[i].weight = 0
		}
		drains = drains || members[i].weight == 0 && len(now.of(members[i].ID)) > 0
	}
	if len(in.loads) == 0 && now.Loads == nil {
		return assign(n, members, now), drains, true
	}
	loads := make([]int, n)
	for s := range loads {
		load, known := in.loads[s]
		switch {
		case known:
			loads[s] = load
		case s < len(now.Loads):
			loads[s] = now.Loads[s]
		default:
			loads[s] = unknownLoad
		}
	}
	return assignByLoad(n, members, now, loads), drains, true
}

// takeGone reports whether the assignment did not exist since the last call.
func (in *inputs) takeGone() (gone bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	gone, in.gone = in.gone, false
	return gone
}

// watchTable takes the orders, and notices when the assignment does not exist, for example because
// it was deleted by hand. It returns the error that ended it.
func (r *runner) watchTable(ctx context.Context, in *inputs) error {
	for f, err := range followTable(ctx, r.client, r.group) {
		if err != nil {
			return err
		}
		in.change(func() {
			in.orders, in.gone = f.orders, in.gone || f.N == 0
			in.ready |= readyOrders
		})
	}
	return nil
}

// watchGroup takes the members after each change, and returns the error that ended it.
func (r *runner) watchGroup(ctx context.Context, in *inputs) error {
	for v, err := range member.Observe(ctx, r.client, r.group) {
		if err != nil {
			return err
		}
		members := make([]node, len(v.Members))
		for i, m := range v.Members {
			members[i] = node{m.ID, m.Zone, m.Weight}
		}
		in.change(func() { in.members, in.ready = members, in.ready|readyMembers })
	}
	return nil
}
