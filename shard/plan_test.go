package shard_test

import (
	"math"
	"testing"

	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	members := []member.Member{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}}
	before := shard.Plan{}.Next(10, members)
	after := before.Next(10, append(members, member.Member{ID: "c", Weight: 1}))
	moved, count := 0, map[string]int{}
	for s := range 10 {
		if count[after.Owner(s)]++; before.Owner(s) != after.Owner(s) {
			moved++
		}
	}
	if moved == 0 || moved != before.Moves(after) || moved > 4 || count["c"] < 3 {
		t.Errorf("%d moves, %d counted, %v", before.Moves(after), moved, count)
	}
	if before.Owner(-1) != "" || before.Owner(10) != "" || before.Size() == 0 {
		t.Errorf("%q, %q, %d bytes", before.Owner(-1), before.Owner(10), before.Size())
	}
}

// TestPlanOfBadArguments: they count as the nearest that are possible.
func TestPlanOfBadArguments(t *testing.T) {
	t.Parallel()
	weighted := func(a, b int) []member.Member {
		return []member.Member{{ID: "a", Weight: a}, {ID: "b", Weight: b}}
	}
	for _, tt := range []struct {
		n       int
		members []member.Member
		onA     int
	}{
		{4, weighted(-1, 1), 0},
		{4, weighted(math.MinInt, math.MinInt), 0},
		{4, weighted(math.MaxInt, math.MaxInt), 2},
		{-1, weighted(1, 1), 0},
	} {
		p, got := shard.Plan{}.Next(tt.n, tt.members), 0
		for s := range max(tt.n, 0) {
			if p.Owner(s) == "a" {
				got++
			}
		}
		if got != tt.onA {
			t.Errorf("%+v: %d shards", tt, got)
		}
	}
}
