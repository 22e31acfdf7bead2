package mutex_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func newProxy(tb testing.TB, target string) *faultproxy.Proxy {
	tb.Helper()
	p, err := faultproxy.New(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// deletions returns a function that reports when another client saw the deletion of a key below
// prefix.
func deletions(tb testing.TB, prefix string) (at func(key string) (time.Time, bool)) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	client := cluster.ClientV3(tb)
	var mu sync.Mutex
	seen := map[string]time.Time{}
	watch := client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithFilterPut(),
		clientv3.WithCreatedNotify())
	<-watch
	var reader sync.WaitGroup
	reader.Go(func() {
		for resp := range watch {
			now := time.Now()
			mu.Lock()
			for _, ev := range resp.Events {
				seen[string(ev.Kv.Key)] = now
			}
			mu.Unlock()
		}
	})
	tb.Cleanup(func() { cancel(); reader.Wait() })
	return func(key string) (time.Time, bool) {
		mu.Lock()
		defer mu.Unlock()
		t, ok := seen[key]
		return t, ok
	}
}

// TestAHoldEndsBeforeTheServerDeletesItsKey disconnects holders from the server. Their contexts
// must end before another client sees that the server has deleted their keys. All trials run at
// once, because they mostly wait.
func TestAHoldEndsBeforeTheServerDeletesItsKey(t *testing.T) {
	t.Parallel()
	const trials = 10
	ttls := []time.Duration{5 * time.Second, 10 * time.Second}
	delays := []time.Duration{0, 500 * time.Millisecond, time.Second}
	prefix := fresh(t)
	deleted := deletions(t, prefix)
	var mu sync.Mutex
	margins := map[string][]time.Duration{}
	var proxies []*faultproxy.Proxy
	var all sync.WaitGroup
	for _, ttl := range ttls {
		for _, delay := range delays {
			p := newProxy(t, cluster.Endpoints()[0])
			proxies = append(proxies, p)
			p.Delay(faultproxy.Down, delay)
			var ready sync.WaitGroup
			cut := make(chan struct{})
			ready.Add(trials)
			for i := range trials {
				all.Go(func() {
					c := newClient(t, gateway.Config{
						Endpoints:      []string{p.URL()},
						AttemptTimeout: 4 * time.Second,
					})
					// Start at different points of the renewal interval, so that the disconnection
					// hits any point of it.
					pause(t, t.Context(), time.Duration(i)*ttl/3/trials+rand.N(50*time.Millisecond),
						"spread")
					s := newSession(t, c, &session.Options{TTL: ttl})
					l := lock(t, s, fmt.Sprintf("%s/%v-%v-%d", prefix, ttl, delay, i))
					pause(t, t.Context(), 2*ttl/3, "renewals") // at least one was acknowledged
					ready.Done()
					<-cut
					<-l.Context().Done()
					done := time.Now()
					if err := l.Err(); !errors.Is(err, session.ErrExpired) ||
						!errors.Is(err, session.ErrLost) {
						t.Errorf("cause: %v", err)
					}
					var gone time.Time
					eventually(t, "the server's delete", func() (ok bool) {
						gone, ok = deleted(l.Key())
						return ok
					})
					mu.Lock()
					defer mu.Unlock()
					what := fmt.Sprintf("TTL %v, delay %v", ttl, delay)
					margins[what] = append(margins[what], gone.Sub(done))
				})
			}
			all.Go(func() {
				ready.Wait()
				p.Blackhole(faultproxy.Both)
				close(cut)
			})
		}
	}
	all.Wait()
	for _, p := range proxies { // so that the sessions can be closed
		if err := p.Heal(); err != nil {
			t.Error(err)
		}
	}
	total := 0
	for what, m := range margins {
		slices.Sort(m)
		total += len(m)
		figure(t, "%s: %d trials, context ended before the delete by %v at least, %v in the median",
			what, len(m), m[0].Round(time.Millisecond), m[len(m)/2].Round(time.Millisecond))
		if m[0] <= 0 {
			t.Errorf("%s: the context ended %v after the delete", what, -m[0])
		}
	}
	if want := trials * len(ttls) * len(delays); total != want {
		t.Errorf("%d trials of %d came to an end", total, want)
	}
}

// TestAHoldAndAWaitEndWhenTheirLeaseIsRevoked: a hold and a wait end at once when their lease is
// revoked.
func TestAHoldAndAWaitEndWhenTheirLeaseIsRevoked(t *testing.T) {
	other := newClient(t, gateway.Config{})
	var worst, worstWaiter time.Duration
	for range 20 {
		name := fresh(t)
		holder, waiter := plain(t), plain(t)
		held := lock(t, holder, name)
		failed := make(chan error, 1)
		go func() {
			_, err := mutex.New(waiter, name, nil).Lock(t.Context())
			failed <- err
		}()
		eventually(t, "join", func() bool { return len(members(t, other, name)) == 2 })

		if err := other.Revoke(t.Context(), waiter.Lease()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := <-failed; !errors.Is(err, session.ErrLost) ||
			!errors.Is(err, session.ErrRevoked) {
			t.Errorf("Lock of a waiter whose lease was revoked: %v", err)
		}
		worstWaiter = max(worstWaiter, time.Since(begin))

		if err := other.Revoke(t.Context(), holder.Lease()); err != nil {
			t.Fatal(err)
		}
		begin = time.Now()
		<-held.Context().Done()
		worst = max(worst, time.Since(begin))
		if err := held.Err(); !errors.Is(err, session.ErrLost) {
			t.Errorf("cause: %v", err)
		}
		if err := holder.Err(); !errors.Is(err, session.ErrRevoked) {
			eventually(t, "the session's own loss", func() bool {
				return errors.Is(holder.Err(), session.ErrRevoked)
			})
		}
	}
	figure(t, "lease revoked: the holder knew after %v at most, a waiter after %v", worst,
		worstWaiter)
	if worst > 500*time.Millisecond || worstWaiter > 500*time.Millisecond {
		t.Errorf("too late: %v, %v", worst, worstWaiter)
	}
}
