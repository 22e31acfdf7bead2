package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// counts returns the number of shards of each member, and checks that no shard has another one.
func counts(t *testing.T, in table, members []node) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, m := range members {
		if m.weight > 0 {
			n[m.ID] = 0
		}
	}
	for s := range in.N {
		m, ok := in.owner(s)
		_, known := n[m.ID]
		switch {
		case !ok && len(n) == 0:
		case !known:
			t.Fatalf("shard %d of %q, %v", s, m.ID, ok)
		default:
			n[m.ID]++
		}
	}
	return n
}

// imbalance returns the difference between the largest and the smallest share.
func imbalance(n map[string]int) int {
	if len(n) == 0 {
		return 0
	}
	shares := slices.Collect(maps.Values(n))
	return slices.Max(shares) - slices.Min(shares)
}

// fewest returns the smallest number of moves from a table to one with shares that differ by at
// most 1: all shards without a member, and the surplus beyond the best choice of shares.
func fewest(before table, members []node) int {
	has := map[string]int{}
	for _, m := range members {
		if m.weight > 0 {
			has[m.ID] = 0
		}
	}
	moved := 0
	for s := range before.N {
		m, _ := before.owner(s)
		if _, here := has[m.ID]; !here {
			moved++
			continue
		}
		has[m.ID]++
	}
	low, up := before.N/len(has), before.N%len(has)
	for _, h := range slices.Backward(slices.Sorted(maps.Values(has))) {
		share := low
		if up > 0 {
			share++
			up--
		}
		moved += max(0, h-share)
	}
	return moved
}

// TestAssignment: through random joins, drains and deaths, equal members have equal shares after
// the fewest possible moves, and the order of the members does not matter.
func TestAssignment(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := 1 + r.IntN(40)
		var members []node
		var now table
		for step := range 8 {
			switch k := r.IntN(4); {
			case k < 2 || len(members) == 0:
				members = append(members, node{
					ID: fmt.Sprintf("m%d", seed+uint64(step)), Zone: fmt.Sprint(r.IntN(3)), weight: 1,
				})
			case k == 2:
				members = slices.Delete(members, 0, 1)
			default:
				i := r.IntN(len(members))
				members[i].weight = 1 - members[i].weight
			}
			before := now
			now = assign(n, members, before)
			all := counts(t, now, members)
			if d := imbalance(all); d > 1 {
				t.Fatalf("seed %d: shares %v", seed, all)
			}
			if before.N > 0 && len(all) > 0 {
				if got, want := before.moves(now), fewest(before, members); got != want {
					t.Fatalf("seed %d, step %d: %d moves, %d are possible", seed, step, got, want)
				}
			}
			mixed := slices.Clone(members)
			r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if assign(n, mixed, before).moves(now) != 0 {
				t.Fatalf("seed %d: the order of the members matters", seed)
			}
			if again := assign(n, members, now); now.moves(again) != 0 {
				t.Fatalf("seed %d: a second assignment moves %d shards", seed, now.moves(again))
			}
			if back := decodeTable(kvOf(now.encode())); now.moves(back) != 0 || back.N != n {
				t.Fatalf("seed %d: %+v is stored as %+v", seed, now, back)
			}
		}
	}
}

// TestMovesOfAJoin: a join moves at most the share of the new member.
func TestMovesOfAJoin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(200)
		var members []node
		var now table
		for m := 1; m <= 1+r.IntN(12); m++ {
			members = append(members, node{ID: fmt.Sprint(r.Uint64()), weight: 1})
			next := assign(n, members, now)
			if moved := now.moves(next); m > 1 && moved > (n+m-1)/m {
				t.Fatalf("seed %d: %d of %d shards move at the join of member %d", seed, moved, n, m)
			}
			now = next
		}
	}
}

// TestWeights: shares differ by less than 1 from the exact ones.
func TestWeights(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, total := 1+r.IntN(200), 0
		members := make([]node, 1+r.IntN(10))
		for i := range members {
			members[i] = node{ID: fmt.Sprint(r.Uint64()), weight: 1 + r.IntN(9)}
			total += members[i].weight
		}
		all := counts(t, assign(n, members, table{}), members)
		for _, m := range members {
			exact := float64(n*m.weight) / float64(total)
			if d := float64(all[m.ID]) - exact; d <= -1 || d >= 1 {
				t.Fatalf("seed %d: weight %d has %d, exact %v", seed, m.weight, all[m.ID], exact)
			}
		}
	}
}

// TestZone: the shards of a member that dies stay in its zone while there is room.
func TestZone(t *testing.T) {
	t.Parallel()
	members := []node{{"a", "x", 1}, {"b", "y", 1}, {"c", "x", 1}, {"d", "y", 1}}
	before := assign(100, members, table{})
	after := assign(100, members[1:], before)
	for s := range before.of("a") {
		if m, _ := after.owner(s); m.Zone != "x" && len(after.of("c")) < 33 {
			t.Errorf("shard %d moves to %v", s, m)
		}
	}
	if got := len(after.of("c")); got < 33 {
		t.Errorf("c has %d", got)
	}
}

// TestRollingRestart: of 1,024 shards none moves more than twice when each of ten members is
// drained, leaves and returns.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const n = 1024
	for seed := range uint64(3) {
		members := make([]node, 10)
		for i := range members {
			members[i] = node{ID: fmt.Sprintf("pod-%d-%d", seed, i), weight: 1}
		}
		moved := make([]int, n)
		now := assign(n, members, table{})
		step := func() {
			next := assign(n, members, now)
			for s := range n {
				a, _ := now.owner(s)
				if b, _ := next.owner(s); a.ID != b.ID {
					moved[s]++
				}
			}
			now = next
		}
		total := 0
		for i := range members {
			members[i].weight = 0
			step()
			members[i].weight = 1
			step()
		}
		for _, m := range moved {
			total += m
		}
		if most := slices.Max(moved); most > 2 {
			t.Errorf("seed %d: a shard moves %d times, all %d times", seed, most, total)
		}
	}
}

func FuzzDecodeTable(f *testing.F) {
	f.Add([]byte(`{"n":2,"members":[{"id":"a"}],"shards":[0,-1]}`))
	f.Add([]byte(`{"n":1,"members":[],"shards":[0]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		got := decodeTable(kvOf(value))
		for s := range got.N {
			got.owner(s)
		}
	})
}
