package core

import (
	"slices"
	"testing"
	"time"
)

// TestRetryDelay: the delay grows to a minute, and is one for every number that a record can have.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for _, attempt := range []int{-1 << 62, 0, 1, 2, 3, 6, 7, 1 << 62} {
		got = append(got, RetryDelay(attempt)/time.Second)
	}
	if want := []time.Duration{1, 1, 1, 2, 4, 32, 60, 60}; !slices.Equal(got, want) {
		t.Errorf("%d", got)
	}
}
