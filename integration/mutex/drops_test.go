package mutex_test

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func newHTTPProxy(tb testing.TB, target string) *faultproxy.HTTPProxy {
	tb.Helper()
	p, err := faultproxy.NewHTTP(target)
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

// sometimes matches one in n of the requests that change keys.
func sometimes(n int) func(*faultproxy.Request) bool {
	return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(n) == 0 }
}

// counter is a number in etcd. An increment reads it and writes it without a guard, so the count is
// right only if the goroutines exclude each other.
type counter struct {
	c   *gateway.Client
	key string
}

func (n counter) read(t *testing.T) int {
	t.Helper()
	resp, err := n.c.Get(t.Context(), n.key)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.KVs) == 0 {
		return 0
	}
	v, err := strconv.Atoi(string(resp.KVs[0].Value))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (n counter) increment(t *testing.T) {
	t.Helper()
	if _, err := n.c.Put(t.Context(), n.key, []byte(strconv.Itoa(n.read(t)+1))); err != nil {
		t.Error(err)
	}
}

// TestGuaranteesHoldWhileAnswersAreLost: while answers are lost, and requests arrive later than
// their repetitions, holders exclude each other, fences grow, and no member remains in the line.
func TestGuaranteesHoldWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	lockWhileAnswersAreLost(t, nil)
}

// TestDeferredUnlocksWhileAnswersAreLost: the same for locks whose deletions go with other writes.
func TestDeferredUnlocksWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	lockWhileAnswersAreLost(t, &mutex.Options{DeferUnlock: true})
}

func lockWhileAnswersAreLost(t *testing.T, opts *mutex.Options) {
	t.Helper()
	const drops = 300
	p := newHTTPProxy(t, cluster.Endpoints()[0])
	direct := newClient(t, gateway.Config{})
	number := counter{direct, fresh(t)}
	name := fresh(t)
	var sessions []*session.Session
	for range 4 {
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		sessions = append(sessions, newSession(t, c, &session.Options{TTL: 60 * time.Second}))
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	hung := p.Add(faultproxy.Rule{Match: sometimes(60), Action: faultproxy.Hang})
	late := p.Add(faultproxy.Rule{
		Match:  sometimes(20),
		Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})

	var fences []int64
	var all sync.WaitGroup
	for i := range 8 {
		m := mutex.New(sessions[i%len(sessions)], name, opts)
		all.Go(func() {
			for dropped.Hits() < drops {
				take := m.Lock
				if rand.N(4) == 0 {
					take = m.TryLock
				}
				l, err := take(t.Context())
				if err != nil {
					//nolint:errorlint // made by TryLock itself
					if _, ok := err.(*mutex.LockedError); ok {
						continue
					}
					t.Error(err)
					return
				}
				number.increment(t)
				fences = append(fences, l.Fence())
				if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	figure(t, "%d answers dropped, %d withheld, %d requests delivered after their retry; %d grants",
		dropped.Hits(), hung.Hits(), late.Hits(), len(fences))
	if got := number.read(t); got != len(fences) {
		t.Errorf("counted %d in %d grants", got, len(fences))
	}
	for i := 1; i < len(fences); i++ {
		if fences[i] <= fences[i-1] {
			t.Errorf("fence %d came after %d", fences[i], fences[i-1])
		}
	}
	// Late requests may still arrive. None of them may create a member again.
	pause(t, t.Context(), time.Second, "late requests")
	if left := members(t, direct, name); len(left) > 0 {
		t.Errorf("ghosts: %v", left)
	}
	p.Clear()
	unlock(t, lock(t, sessions[0], name))
}

// TestAThousandGoroutinesShareOneLock: a thousand goroutines lock one name through one client.
func TestAThousandGoroutinesShareOneLock(t *testing.T) {
	p := newHTTPProxy(t, cluster.Endpoints()[0])
	streams := p.Add(faultproxy.Rule{
		Match:  faultproxy.Path("/v3/watch"),
		Action: faultproxy.DelayBefore(0),
	})
	direct := newClient(t, gateway.Config{})
	name := fresh(t)
	members(t, direct, name) // opens its connection
	before := runtime.NumGoroutine()
	var inside, count int

	c, err := gateway.New(gateway.Config{Endpoints: []string{p.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := mutex.New(s, name, nil)
	var all sync.WaitGroup
	begin := time.Now()
	for range 1000 {
		all.Go(func() {
			l, err := m.Lock(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if inside++; inside != 1 {
				t.Errorf("%d hold the lock", inside)
			}
			count++
			inside--
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	figure(t, "1,000 goroutines: %d grants in %v over %d stream", count,
		time.Since(begin).Round(time.Millisecond), streams.Seen())
	if count != 1000 || streams.Seen() != 1 {
		t.Errorf("%d grants over %d streams", count, streams.Seen())
	}
	if left := members(t, direct, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "goroutines", func() bool { return runtime.NumGoroutine() <= before })
}
