package mutex_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestCallsEndWithTheirContext: on a link that drops everything, every call returns within 200 ms
// of its context's end.
func TestCallsEndWithTheirContext(t *testing.T) {
	p := newProxy(t, cluster.Endpoints()[0])
	c := newClient(t, gateway.Config{Endpoints: []string{p.URL()}})
	opts := &session.Options{TTL: 60 * time.Second}
	s, closing := newSession(t, c, opts), newSession(t, c, opts)
	unlocked, held, waited := lock(t, s, fresh(t)), lock(t, s, fresh(t)), fresh(t)
	direct := plain(t)
	inTheWay := lock(t, direct, waited)
	parked := make(chan error, 1)
	waiting, stopWaiting := context.WithCancel(t.Context())
	go func() {
		_, err := mutex.New(s, waited, nil).Lock(waiting)
		parked <- err
	}()
	eventually(t, "join", func() bool { return len(members(t, direct.Client(), waited)) == 2 })
	p.Blackhole(faultproxy.Both)

	name := fresh(t)
	write := gateway.Txn{Then: []gateway.Op{gateway.OpPut(name, nil)}}
	calls := map[string]func(ctx context.Context) error{
		"Lock": func(ctx context.Context) error {
			_, err := mutex.New(s, name, nil).Lock(ctx)
			return err
		},
		"TryLock": func(ctx context.Context) error {
			_, err := mutex.New(s, name, nil).TryLock(ctx)
			return err
		},
		"Inspect": func(ctx context.Context) error {
			_, err := mutex.New(s, name, nil).Inspect(ctx)
			return err
		},
		"Break": func(ctx context.Context) error {
			return mutex.New(s, name, nil).Break(ctx, name+"/1", 1, "why not")
		},
		"Unlock": unlocked.Unlock,
		"Lock.Txn": func(ctx context.Context) error {
			_, err := held.Txn(ctx, write)
			return err
		},
		"Session.Txn": func(ctx context.Context) error {
			_, err := s.Txn(ctx, write)
			return err
		},
		"Session.New": func(ctx context.Context) error {
			_, err := session.New(ctx, c, nil)
			return err
		},
		"Session.Close": closing.Close,
		"Get":           func(ctx context.Context) error { _, err := c.Get(ctx, name); return err },
		"Put": func(ctx context.Context) error {
			_, err := c.Put(ctx, name, nil)
			return err
		},
		"Delete": func(ctx context.Context) error {
			_, err := c.Delete(ctx, name)
			return err
		},
		"Txn": func(ctx context.Context) error {
			_, err := c.Txn(ctx, write)
			return err
		},
		"Compact": func(ctx context.Context) error { return c.Compact(ctx, 1) },
		"Grant": func(ctx context.Context) error {
			_, err := c.Grant(ctx, 0, time.Minute)
			return err
		},
		"Revoke": func(ctx context.Context) error { return c.Revoke(ctx, 1) },
		"KeepAlive": func(ctx context.Context) error {
			_, err := c.KeepAliveOnce(ctx, 1)
			return err
		},
		"TimeToLive": func(ctx context.Context) error {
			_, err := c.TimeToLive(ctx, 1, false)
			return err
		},
		"Leases": func(ctx context.Context) error { _, err := c.Leases(ctx); return err },
		"Watch": func(ctx context.Context) error {
			_, err := c.Watch(ctx, name)
			return err
		},
	}
	// Break reads the holder first.
	reads := []string{"Inspect", "Break", "Get", "KeepAlive", "TimeToLive", "Leases", "Watch"}
	// end with the first attempt, which must not be repeated
	single := []string{"Put", "Delete", "Txn"}

	// Joins of one session wait when two requests are under way, and are perhaps not sent.
	queued := []string{"Lock", "TryLock"}

	var mu sync.Mutex
	late := map[string]time.Duration{}
	measure := func(what string, limit time.Duration, call func(ctx context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		begin := time.Now()
		err := call(ctx)
		took := time.Since(begin) - limit
		mu.Lock()
		defer mu.Unlock()
		late[what] = max(late[what], took)
		if early := slices.Contains(single, what) && took < 0; !early &&
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
		if got, want := errors.Is(err, gateway.ErrUncertain),
			!slices.Contains(reads, what); got != want && (got || !slices.Contains(queued, what)) {
			t.Errorf("%s: uncertain is %v: %v", what, got, err)
		}
	}
	var all sync.WaitGroup
	for what, call := range calls {
		all.Go(func() {
			measure(what, 300*time.Millisecond, call)  // within the first attempt
			measure(what, 2500*time.Millisecond, call) // within a later one
		})
	}
	all.Wait()

	begin := time.Now()
	stopWaiting()
	if err := <-parked; !errors.Is(err, context.Canceled) {
		t.Errorf("Lock that was waiting: %v", err)
	}
	late["Lock that was waiting"] = time.Since(begin)
	var worst time.Duration
	for what, d := range late {
		worst = max(worst, d)
		if d > 200*time.Millisecond {
			t.Errorf("%s returned %v after its context's end", what, d)
		}
	}
	figure(t, "black hole: %d calls returned %v after their context's end at most", len(late),
		worst)

	// The sessions resolve the uncertain calls once the link works again.
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	unlock(t, inTheWay)
	for _, n := range []string{name, waited} {
		eventually(t, "settling of "+n, func() bool {
			return len(members(t, direct.Client(), n)) == 0
		})
	}
}
