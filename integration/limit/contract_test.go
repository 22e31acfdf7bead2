package limit_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		a, b := newSession(t, c, nil), newSession(t, newClient(t, cfg), nil)
		type contract func(*testing.T, *gateway.Client, *session.Session, *session.Session)
		for name, test := range map[string]contract{
			"Burst":    burst,
			"Returned": returned,
			"Dead":     dead,
			"Numbers":  numbers,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, a, b) })
		}
	})
}

// slow is a rate that adds nothing during a test.
func slow(burst int64) limit.Rate { return limit.Rate{Tokens: 1, Per: time.Hour, Burst: burst} }

// allowed takes single tokens until none is available, and returns their number.
func allowed(t *testing.T, l *limit.Limiter) (n int) {
	t.Helper()
	for {
		ok, err := l.Allow(within(t, recipetest.Patience), 1)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return n
		}
		n++
	}
}

// burst: two sessions share a burst, strict or not, and calls that wait go on at the rate.
func burst(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	for _, opts := range []*limit.Options{nil, {Strict: true}, {Block: 3}} {
		name := fresh(t)
		first, second := limit.New(a, name, slow(100), opts), limit.New(b, name, slow(100), opts)
		var of sync.WaitGroup
		var n [2]int
		of.Go(func() { n[0] = allowed(t, first) })
		of.Go(func() { n[1] = allowed(t, second) })
		of.Wait()
		if n[0]+n[1] != 100 {
			t.Errorf("%+v: %v tokens", opts, n)
		}
	}
	l := limit.New(a, fresh(t), limit.Rate{Tokens: 20, Per: time.Second, Burst: 1}, nil)
	begun := time.Now()
	for range 11 {
		if err := l.Wait(within(t, recipetest.Patience), 1); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begun); d < 500*time.Millisecond {
		t.Errorf("11 tokens in %v", d)
	}
}

// returned: a limiter that is closed gives its block back.
func returned(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	opts := &limit.Options{Block: 40}
	first, second := limit.New(a, name, slow(100), opts), limit.New(b, name, slow(100), opts)
	if ok, err := first.Allow(within(t, recipetest.Patience), 3); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n := allowed(t, second)
	if err := first.Close(within(t, recipetest.Patience)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "tokens", func() bool { n += allowed(t, second); return n == 97 })
	if err := second.Close(within(t, recipetest.Patience)); err != nil {
		t.Fatal(err)
	}
	if keys := recipetest.Members(t, c, name); len(keys) > 0 {
		t.Errorf("keys %q", keys)
	}
}

// dead: the block of a process goes back with its lease.
func dead(t *testing.T, c *gateway.Client, a, _ *session.Session) {
	name := fresh(t)
	opts := &limit.Options{Block: 40}
	s := newSession(t, c, nil)
	first, second := limit.New(s, name, slow(100), opts), limit.New(a, name, slow(100), opts)
	if ok, err := first.Allow(within(t, recipetest.Patience), 1); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if n := allowed(t, second); n != 60 {
		t.Errorf("%d tokens, want 60", n)
	}
	if err := c.Revoke(within(t, recipetest.Patience), s.Lease()); err != nil {
		t.Fatal(err)
	}
	n := 0
	eventually(t, "tokens", func() bool { n += allowed(t, second); return n == 40 })
	eventually(t, "loss", func() bool {
		_, err := first.Allow(within(t, recipetest.Patience), 1)
		return errors.Is(err, session.ErrLost)
	})
}

// numbers: counters count each Add once, and IDs are unique.
func numbers(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, time.Minute)
	var of sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for _, s := range []*session.Session{a, b, a, b} {
		c, ids := limit.NewCounter(s, name), limit.NewIDs(s, name, nil)
		of.Go(func() {
			for range 20 {
				_, err := c.Add(ctx, 1)
				id, idErr := ids.Next(ctx)
				if err := errors.Join(err, idErr); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if seen[id] {
					t.Errorf("ID %d again", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	of.Wait()
	c := limit.NewCounter(b, name)
	swapped, err := c.CompareAndSwap(ctx, 80, -1)
	n, getErr := c.Get(ctx)
	if !swapped || n != -1 || errors.Join(err, getErr) != nil {
		t.Errorf("%v, %d, %v, %v", swapped, n, err, getErr)
	}
}
