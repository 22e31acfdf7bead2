package queue

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSpansHoldAllPlaces: the ranges are in order and disjoint, there are no more than maxSpans,
// and each place is in one. Few places have ranges of their own.
func TestSpansHoldAllPlaces(t *testing.T) {
	t.Parallel()
	for range 200 {
		var places []string
		for range rand.N(3 * maxSpans) {
			places = append(places, place(rand.N(3), rand.Int64N(1e6)))
		}
		if foreign := []string{"", "9", "9/", "9/x", "x", "xy"}; rand.N(4) == 0 {
			places = append(places, foreign...)
		}
		ranges := spans("c/", places)
		if len(places) <= maxSpans && len(ranges) != len(places) || len(ranges) > maxSpans {
			t.Fatalf("%d ranges of %d places", len(ranges), len(places))
		}
		for i := 1; i < len(ranges) && len(places) > maxSpans; i++ {
			if ranges[i-1].to > ranges[i].from {
				t.Fatalf("%v", ranges)
			}
		}
		for _, p := range places {
			if !slices.ContainsFunc(ranges, func(r gap) bool {
				return r.from <= "c/"+p && "c/"+p < r.to
			}) {
				t.Fatalf("%s is in none of %v", p, ranges)
			}
		}
	}
}
