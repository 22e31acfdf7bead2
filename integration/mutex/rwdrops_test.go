package mutex_test

import (
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestReadersAndWritersExcludeEachOtherWhileAnswersAreLost is TestGuaranteesHoldWhileAnswersAreLost
// for readers, writers, LockAll and Downgrade.
func TestReadersAndWritersExcludeEachOtherWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	p := newHTTPProxy(t, cluster.Endpoints()[0])
	direct := newClient(t, gateway.Config{})
	one, two := fresh(t), fresh(t)
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	p.Add(faultproxy.Rule{Match: sometimes(60), Action: faultproxy.Hang})
	// its answer comes too late
	p.Add(faultproxy.Rule{
		Match:  sometimes(20),
		Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})
	// of lock one
	in := room{t: t}
	var all sync.WaitGroup
	for i := range 6 {
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		s := newSession(t, c, &session.Options{TTL: time.Minute})
		rw := mutex.NewRWMutex(s, one, nil)
		all.Go(func() {
			for dropped.Hits() < 200 {
				switch {
				case i < 2:
					l, err := mutex.LockAll(t.Context(), s, two, one)
					if err != nil {
						t.Error(err)
						return
					}
					in.write()()
					if err := l.Unlock(t.Context()); err != nil {
						t.Error(err)
					}
				case i < 4:
					l, err := rw.RLock(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					in.read()()
					unlock(t, l)
				default:
					l, err := rw.Lock(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					in.write()()
					if err := l.Downgrade(t.Context()); err != nil {
						t.Error(err)
					}
					in.read()()
					unlock(t, l)
				}
			}
		})
	}
	all.Wait()
	pause(t, t.Context(), time.Second, "late copies")
	for _, name := range []string{one, two} {
		if left := members(t, direct, name); len(left) > 0 {
			t.Errorf("ghosts: %v", left)
		}
	}
	p.Clear()
}
