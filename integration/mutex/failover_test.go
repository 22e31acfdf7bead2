package mutex_test

import (
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestLocksGoOnAfterTheLeaderDies: when the leader is killed, loops of Lock and Unlock see no
// error, and a gap of 2.5 s at most.
func TestLocksGoOnAfterTheLeaderDies(t *testing.T) {
	three := etcdtest.Start(t, &etcdproc.Options{
		Version: etcdproc.Versions()[0], Members: 3,
		UnsafeNoFsync: true,
	})
	const loops = 4
	var worst time.Duration
	for round := range 3 {
		leader := three.FindLeader(t)
		stop := make(chan struct{})
		var mu sync.Mutex
		var gap time.Duration
		var grants int
		var all sync.WaitGroup
		for range loops { // each has its own client, which may start at another member
			s := newSession(t, newClient(t, gateway.Config{Endpoints: three.Endpoints()}), nil)
			m := mutex.New(s, fresh(t), nil)
			all.Go(func() {
				last := time.Now()
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := m.Lock(t.Context())
					if err != nil {
						t.Errorf("Lock: %v", err)
						return
					}
					if err := l.Unlock(t.Context()); err != nil {
						t.Errorf("Unlock: %v", err)
						return
					}
					mu.Lock()
					gap = max(gap, time.Since(last))
					grants++
					mu.Unlock()
					last = time.Now()
				}
			})
		}
		count := func() int { mu.Lock(); defer mu.Unlock(); return grants }
		eventually(t, "grants before", func() bool { return count() > 50*loops })
		if err := leader.Kill(); err != nil {
			t.Fatal(err)
		}
		three.FindLeader(t)
		before := count()
		eventually(t, "grants after", func() bool { return count() > before+50*loops })
		close(stop)
		all.Wait()
		figure(t, "round %d: leader killed, gap %v", round+1, gap.Round(time.Millisecond))
		worst = max(worst, gap)
		if err := leader.Restart(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if worst > 2500*time.Millisecond {
		t.Errorf("a gap of %v", worst)
	}
}
