package queue

import (
	"math/rand/v2"
	"testing"
	"time"
)

// SetSmallSizes sets random small sizes until the test ends. The test must not be parallel, so that
// no other test runs meanwhile.
func SetSmallSizes(t *testing.T, rng *rand.Rand) {
	t.Helper()
	for _, size := range []*int64{
		&firstWindow, &window, &reach, &firstReach, &firstDue, &duePage, &leastGap, &keysOfDead,
		&leastFound, &mostFound,
	} {
		setSize(t, size, 1+rng.Int64N(6))
	}
	for _, size := range []*int{
		&keptValue, &maxSteps, &maxSpans, &maxMoved, &maxGaps, &gapEvery, &idleGaps, &pageOfDead,
	} {
		setSize(t, size, 1+rng.IntN(6))
	}
	setSize(t, &maxKnown, 4+rng.IntN(12))
	setSize(t, &leastAhead, 1+rng.Int64N(500))
	if rng.IntN(2) == 0 {
		setSize(t, &idleCache, time.Duration(1+rng.IntN(100))*time.Millisecond)
	}
	setSize(t, &idleRoom, time.Duration(1+rng.IntN(100))*time.Millisecond)
}

func setSize[T any](t *testing.T, size *T, to T) {
	t.Helper()
	was := *size
	t.Cleanup(func() { *size = was })
	*size = to
}
