package core

import (
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// The timing argument. A grant or renewal sent at c0 and answered with a time to live T was handled
// at some s >= c0, so the lease lives until s+T on the leader's clock. If no clock runs more than
// 1 % faster or slower than another, the moment c0 + T·(1−1 %) on our clock is before that. The
// margin covers the time it takes to act on it.
const margin = 100 * time.Millisecond

// trustWindow returns how long after a grant was sent its lease can be relied on.
func trustWindow(ttl time.Duration) time.Duration { return ttl - ttl/100 - margin }

// deadline returns the time until which a grant can be relied on.
func deadline(g gateway.LeaseGrant) time.Time { return g.Sent.Add(trustWindow(g.TTL)) }
