package core

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// newBackoff returns the pauses between the tries of one request.
func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// RetryDelay is the pause after an attempt that failed, where the caller has not chosen one: 1 s,
// doubled with each attempt up to 1 minute. An attempt below 1, which only a record that another
// client has written can have, counts as the first.
func RetryDelay(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 1)-1, 6), time.Minute)
}
