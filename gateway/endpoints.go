package gateway

import (
	"math/rand/v2"
	"sync"
	"time"
)

// endpoints remembers which members served last and which failed. One is used until it fails: members are equal, and
// staying keeps connections warm.
type endpoints struct {
	mu   sync.Mutex
	list []*endpoint
	cur  int
}

type endpoint struct {
	url      string
	failedAt time.Time // zero: not that anyone knows
}

func newEndpoints(urls []string) *endpoints {
	e := &endpoints{cur: rand.IntN(len(urls))} // spreads many clients over the members
	for _, u := range urls {
		e.list = append(e.list, &endpoint{url: u})
	}
	return e
}

func (e *endpoints) pick() *endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list[e.cur]
}

// failed moves on to the endpoint whose last failure is the longest ago. Late reports of the same failure, from
// requests that ran in parallel, do not move it again.
func (e *endpoints) failed(ep *endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ep.failedAt = time.Now()
	if e.list[e.cur] != ep {
		return
	}
	best := (e.cur + 1) % len(e.list)
	for i := 2; i < len(e.list); i++ {
		k := (e.cur + i) % len(e.list)
		if e.list[k].failedAt.Before(e.list[best].failedAt) {
			best = k
		}
	}
	e.cur = best
}
