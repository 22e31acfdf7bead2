package mutex_test

import (
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// cachedLock: a session keeps the key of a cached lock, another session gets the lock when it wants
// it, and the fences that holders read grow.
func cachedLock(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	opts := &mutex.Options{Cache: true}
	var inside int // not synchronized, so that the race detector also checks it
	var last int64
	var all sync.WaitGroup
	use := func(s *session.Session, opts *mutex.Options, read bool) {
		l, err := mutex.New(s, name, opts).Lock(within(t, time.Minute))
		if err != nil {
			t.Error(err)
			return
		}
		if inside++; inside != 1 {
			t.Errorf("%d hold the lock", inside)
		}
		if read {
			if l.Fence() <= last {
				t.Errorf("fence %d after %d", l.Fence(), last)
			}
			last = l.Fence()
		}
		inside--
		unlock(t, l)
	}
	for range 3 {
		all.Go(func() {
			for i := range 20 {
				use(a, opts, i%10 == 9)
			}
		})
	}
	all.Go(func() {
		for range 5 {
			use(b, nil, true)
		}
	})
	all.Wait()
	use(a, opts, false)
	who, err := mutex.New(b, name, nil).Inspect(within(t, time.Minute))
	if err != nil || len(who) != 1 || !who[0].Cached || who[0].Lease != a.Lease() {
		t.Errorf("unused: %+v, %v", who, err)
	}
	use(b, nil, true)
	use(a, opts, false)
	eventually(t, "the end of an unused key", func() bool { return len(members(t, c, name)) == 0 })
}
