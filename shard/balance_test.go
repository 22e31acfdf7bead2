package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// loadsOf returns the load of each member.
func loadsOf(in table, members []node, loads []int) map[string]int {
	sum := map[string]int{}
	for _, m := range members {
		if m.weight > 0 {
			sum[m.ID] = 0
		}
	}
	for s := range in.N {
		m, _ := in.owner(s)
		sum[m.ID] += loads[s]
	}
	return sum
}

// TestAssignmentByLoad: through random joins, drains, deaths and changes of the loads, the loads of
// equal members are balanced as far as the shards allow, and a second assignment moves nothing.
func TestAssignmentByLoad(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := 1 + r.IntN(60)
		loads := make([]int, n)
		for s := range loads {
			loads[s] = 1000 + r.IntN(4000)
		}
		var members []node
		var now table
		for step := range 10 {
			switch k := r.IntN(5); {
			case k < 2 || len(members) == 0:
				members = append(members, node{ID: fmt.Sprintf("m%d", seed+uint64(step)), weight: 1})
			case k == 2:
				members = slices.Delete(members, 0, 1)
			case k == 3:
				loads[r.IntN(n)] *= 2
			default:
				i := r.IntN(len(members))
				members[i].weight = 1 - members[i].weight
			}
			before := now
			now = assignByLoad(n, members, before, slices.Clone(loads))
			all, sum, greatest := loadsOf(now, members, loads), 0, slices.Max(loads)
			for _, l := range all {
				sum += l
			}
			for id, l := range all {
				fair := float64(sum) / float64(len(all))
				if float64(l) > max(fair*(1+outer)+1, fair+float64(greatest)) {
					t.Fatalf("seed %d, step %d: %s has %d, fair is %v, the greatest shard %d",
						seed, step, id, l, fair, greatest)
				}
			}
			mixed := slices.Clone(members)
			r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if assignByLoad(n, mixed, before, slices.Clone(loads)).moves(now) != 0 {
				t.Fatalf("seed %d: the order of the members matters", seed)
			}
			if again := assignByLoad(n, members, now, slices.Clone(loads)); now.moves(again) != 0 {
				t.Fatalf("seed %d: a second assignment moves %d shards", seed, now.moves(again))
			}
			if back := decodeTable(kvOf(now.encode())); now.moves(back) != 0 ||
				!slices.Equal(back.Loads, loads) {
				t.Fatalf("seed %d: %+v is stored as %+v", seed, now, back)
			}
		}
	}
}

// TestLoadsThatChangeALittleMoveNothing: the tolerance keeps loads that vary from moving shards.
func TestLoadsThatChangeALittleMoveNothing(t *testing.T) {
	t.Parallel()
	const n = 200
	r := rand.New(rand.NewPCG(1, 1))
	members, loads := make([]node, 5), make([]int, n)
	for i := range members {
		members[i] = node{ID: fmt.Sprint("m", i), weight: 1}
	}
	for s := range loads {
		loads[s] = 100 + r.IntN(900)
	}
	now := assignByLoad(n, members, table{}, loads)
	for range 100 {
		varied := slices.Clone(loads)
		for s := range varied {
			varied[s] = varied[s] * (90 + r.IntN(21)) / 100
		}
		next := assignByLoad(n, members, now, varied)
		if moved := now.moves(next); moved != 0 {
			t.Fatalf("%d shards move", moved)
		}
	}
	loads[0] = 20 * 1000 // one shard becomes as much as a member's fair load
	next := assignByLoad(n, members, now, loads)
	owner, _ := next.owner(0)
	if all := loadsOf(next, members, loads); now.moves(next) == 0 || all[owner.ID] > 30_000 {
		t.Errorf("%d moves, %v", now.moves(next), all)
	}
}

// TestWeightsAndLoads: a member with three times the weight has three times the load.
func TestWeightsAndLoads(t *testing.T) {
	t.Parallel()
	members := []node{{ID: "a", weight: 3}, {ID: "b", weight: 1}}
	loads := make([]int, 100)
	for s := range loads {
		loads[s] = 10
	}
	loads[7] = unknownLoad // counts as 10
	now := assignByLoad(100, members, table{}, loads)
	if a := len(now.of("a")); a < 72 || a > 78 {
		t.Errorf("a has %d of 100 shards", a)
	}
	if none := assignByLoad(100, nil, now, loads); !none.empty() {
		t.Errorf("%v", maps.Keys(none.of("a")))
	}
}

// TestTheLastLoadCounts: of those that several members show for a shard, also at a read.
func TestTheLastLoadCounts(t *testing.T) {
	t.Parallel()
	kv := func(id string, revision int64, load string) gateway.KeyValue {
		return gateway.KeyValue{
			Key: loadKey("g", id), ModRevision: revision,
			Value: []byte(`{"shards":[0],"loads":[` + load + `]}`),
		}
	}
	in := newInputs()
	l := &loadCopy{group: "g", set: in.setLoads}
	l.List(&gateway.GetResponse{KVs: []gateway.KeyValue{kv("a", 9, "100"), kv("b", 8, "500")}})
	if in.loads[0] != 100 {
		t.Errorf("a load of %d", in.loads[0])
	}
}
