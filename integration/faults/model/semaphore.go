package model

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// permit is an acquired permit.
type permit struct {
	fence  int64
	weight int
}

func semaphoreModel(limit int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return []permit(nil) },
		Step: func(state, input, _ any) (bool, any) {
			s, i := state.([]permit), input.(in)
			at := slices.IndexFunc(s, func(p permit) bool { return p.fence == i.fence })
			switch i.verb {
			case "hold":
				used := i.weight
				for _, p := range s {
					used += p.weight
				}
				next := append(slices.Clone(s), permit{i.fence, i.weight})
				slices.SortFunc(next, func(a, b permit) int { return int(a.fence - b.fence) })
				return at < 0 && used <= limit, next
			case history.Unlock, history.Lose:
				if at < 0 {
					return false, s
				}
				return true, slices.Delete(slices.Clone(s), at, at+1)
			case "write":
				return (at >= 0) != i.refused, s
			}
			return false, s
		},
		Equal:         func(a, b any) bool { return slices.Equal(a.([]permit), b.([]permit)) },
		DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// Semaphore checks a semaphore with this limit.
func Semaphore(
	c *history.Conditions, place string, limit int, all []history.Op, written map[string]bool,
) *Verdict {
	t := newTrace(place)
	ops := history.Of(all, place)
	t.holds(c, ops, c.Early, nil)
	t.writes(ops, written)
	return t.check(semaphoreModel(limit))
}
