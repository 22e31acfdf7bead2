package mutex_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestAFailedLockLeavesNoKeyInAFullDatabase: when its space runs out, etcd may apply a write and
// still return an error for it. A Lock that fails with that error leaves no key in the line.
func TestAFailedLockLeavesNoKeyInAFullDatabase(t *testing.T) {
	small := etcdtest.Start(t, &etcdproc.Options{
		Version: etcdproc.Versions()[0], ExtraArgs: []string{"--quota-backend-bytes=25165824"},
	})
	c := newClient(t, gateway.Config{Endpoints: small.Endpoints()})
	s := newSession(t, c, nil)
	ctx := within(t, time.Minute)
	var full atomic.Bool
	var mu sync.Mutex
	var failed []string
	var all sync.WaitGroup
	value := make([]byte, 100_000)
	for i := range 16 {
		all.Go(func() {
			for n := 0; !full.Load() && ctx.Err() == nil; n++ {
				if _, err := c.Put(ctx, fmt.Sprintf("fill/%d/%d", i, n), value); err != nil {
					if !errors.Is(err, gateway.ErrNoSpace) ||
						!errors.Is(err, gateway.ErrUncertain) {
						t.Errorf("Put into a full database: %v", err)
					}
					return
				}
			}
		})
	}
	prefix := fresh(t)
	for i := range 16 {
		all.Go(func() {
			for n := 0; !full.Load() && ctx.Err() == nil; n++ {
				name := fmt.Sprintf("%s-%d-%d", prefix, i, n)
				l, err := mutex.New(s, name, nil).Lock(ctx)
				if err == nil {
					err = l.Unlock(ctx)
				}
				if err != nil {
					full.Store(true)
					if !errors.Is(err, gateway.ErrNoSpace) {
						t.Errorf("Lock: %v", err)
					}
					mu.Lock()
					failed = append(failed, name)
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	if len(failed) == 0 {
		t.Fatal("the database did not run full")
	}
	for _, name := range failed {
		eventually(t, "the end of "+name, func() bool { return len(members(t, c, name)) == 0 })
	}
	if err := s.Err(); err != nil {
		t.Errorf("session: %v", err)
	}
}
