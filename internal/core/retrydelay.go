package core

import "time"

// RetryDelay is the pause after an attempt that failed, where the caller has not chosen one: 1 s,
// doubled with each attempt up to 1 minute. An attempt below 1, which only a record that another
// client has written can have, counts as the first.
func RetryDelay(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 1)-1, 6), time.Minute)
}
