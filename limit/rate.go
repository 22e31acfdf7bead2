package limit

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Rate is Tokens for each Per.
type Rate struct {
	Tokens int64
	Per    time.Duration
	// Burst is the largest number of tokens at one moment, and of one call. Default Tokens.
	Burst int64
}

const (
	maxTokens = 1_000_000_000_000
	// maxSpan is the longest time in which a bucket may fill.
	maxSpan = 20 * 365 * 24 * time.Hour
)

func (r Rate) complete() (Rate, error) {
	if r.Burst == 0 {
		r.Burst = r.Tokens
	}
	span := float64(r.Burst) * float64(r.Per) / float64(r.Tokens)
	if r.Tokens <= 0 || r.Per <= 0 || r.Burst < 0 ||
		max(r.Tokens, r.Burst) > maxTokens || span > float64(maxSpan) {
		return r, fmt.Errorf("%w: a rate of %d in %v with a burst of %d",
			gateway.ErrInvalid, r.Tokens, r.Per, r.Burst)
	}
	return r, nil
}

// span is the time in which n tokens come, rounded up to nanoseconds.
func (r Rate) span(n int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(r.Per))
	quotient, rest := bits.Div64(high, low, uint64(r.Tokens))
	if rest > 0 {
		quotient++
	}
	return int64(quotient)
}

// count is the number of tokens that come in a time, at most Burst.
func (r Rate) count(span int64) int64 {
	switch {
	case span <= 0:
		return 0
	case span >= r.span(r.Burst):
		return r.Burst
	}
	high, low := bits.Mul64(uint64(span), uint64(r.Tokens))
	quotient, _ := bits.Div64(high, low, uint64(r.Per))
	return int64(quotient)
}

// bucket is the state that all processes share.
type bucket struct {
	// Empty is the time, in nanoseconds since 1970, at which the bucket was empty, or will be after
	// the tokens that are reserved.
	Empty int64 `json:"empty"`
	// Out is the number of tokens in the blocks of all processes.
	Out int64 `json:"out,omitempty"`
}

// fill drops the tokens that exceed the burst.
func (b *bucket) fill(r Rate, now int64) { b.Empty = max(b.Empty, now-r.span(r.Burst)) }

// block is tokens that a process has taken. Token i of it, from 1, may be used from the time
// start+span(i) on.
type block struct{ start, size, used int64 }

func (b *block) left() int64 { return b.size - b.used }

// expire drops the tokens that would exceed the burst by now if they were still in the bucket.
// Otherwise a process could use them at the same moment as others use a full bucket.
func (b *block) expire(r Rate, now int64) {
	b.used = max(b.used, min(b.size, r.count(now-r.span(r.Burst)-b.start)))
}

// at is the time from which the next n tokens of a block may be used.
func (r Rate) at(b *block, n int64) int64 { return b.start + r.span(b.used+n) }
