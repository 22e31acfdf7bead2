package fleet_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// acquire waits for the name of a recipe, and returns how to release it.
type acquire func(context.Context) (release func(context.Context) error, err error)

// recipe is a recipe that a fleet waits for, with the most that a release and the next join of its
// client cost all clients together, by the number of clients. These are the figures of
// docs/performance.md.
type recipe struct {
	name  string
	of    func(s *session.Session, name string) acquire
	notes bool // a holder in a long line puts its key again, to notify the next member
	most  map[int]cost
}

type cost struct{ requests, events, bytes float64 }

var recipes = []recipe{
	{"lock", lock, false, map[int]cost{
		10: {2.5, 22, 9000}, 100: {3.5, 1.5, 4000}, 1000: {3.5, 1.5, 10000},
	}},
	{"election", term, true, map[int]cost{
		10: {2.5, 22, 10000}, 100: {5.5, 2.1, 9000}, 1000: {5.5, 2.1, 10000},
	}},
	{"semaphore", permit, false, map[int]cost{
		10: {2.5, 22, 10000}, 100: {3.5, 1.5, 7000}, 1000: {3.5, 1.5, 10000},
	}},
}

func lock(s *session.Session, name string) acquire {
	m := mutex.New(s, name, nil)
	return func(ctx context.Context) (func(context.Context) error, error) {
		l, err := m.Lock(ctx)
		if err != nil {
			return nil, err
		}
		return l.Unlock, nil
	}
}

func term(s *session.Session, name string) acquire {
	e := election.New(s, name, nil)
	return func(ctx context.Context) (func(context.Context) error, error) {
		t, err := e.Campaign(ctx, "a value")
		if err != nil {
			return nil, err
		}
		return t.Resign, nil
	}
}

func permit(s *session.Session, name string) acquire {
	m := semaphore.New(s, name, 1, nil)
	return func(ctx context.Context) (func(context.Context) error, error) {
		p, err := m.Acquire(ctx, 1)
		if err != nil {
			return nil, err
		}
		return p.Release, nil
	}
}

// TestWhatAReleaseCostsAFleet counts the requests, events and bytes of each release, with the next
// join of the client that released, over all clients of a fleet that waits for one name.
// HOLDFAST_FLEET=long adds 1,000 clients.
//
//nolint:paralleltest // it counts all of the server's events
func TestWhatAReleaseCostsAFleet(t *testing.T) {
	sizes := []int{10, 100}
	if os.Getenv("HOLDFAST_FLEET") == "long" {
		sizes = append(sizes, 1000)
	}
	for _, r := range recipes {
		for _, n := range sizes {
			t.Run(r.name+"/"+strconv.Itoa(n), func(t *testing.T) {
				got := measure(t, r, n)
				recipetest.Figure(t, "%s, %d clients: %.2f requests, %.2f events, %.0f bytes a release",
					r.name, n, got.requests, got.events, got.bytes)
				most := r.most[n]
				if got.requests > most.requests || got.events > most.events || got.bytes > most.bytes {
					t.Errorf("%+v, more than %+v", got, most)
				}
			})
		}
	}
}

// near is the number of releases that are not counted, because the first waiters joined a short
// line and follow all of it.
const near = 25

// counted is the number of releases that are counted.
const counted = 60

// short is the length of a line up to which all of its members follow it.
const short = 16

func measure(t *testing.T, r recipe, n int) cost {
	t.Helper()
	var requests, bytes atomic.Int64
	cfg := gateway.Config{
		Endpoints: cluster.Endpoints(),
		Hooks: gateway.Hooks{Attempt: func(_ context.Context, a gateway.Attempt) {
			if a.Op == "txn" || a.Op == "get" || a.Op == "put" {
				requests.Add(1)
			}
		}},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return countingConn{c, &bytes}, err
		},
	}
	name := recipetest.Fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	turns := make(chan chan error) // a holder releases for each
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	reader := cluster.NewClient(t, gateway.Config{})
	first := cluster.NewClient(t, gateway.Config{})
	// No lease is renewed meanwhile, which would be counted with the bytes.
	unrenewed := &session.Options{TTL: 10 * time.Minute}
	opener, err := r.of(recipetest.NewSession(t, first, unrenewed), name)(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		enter := r.of(recipetest.NewSession(t, recipetest.NewClient(t, cfg), unrenewed), name)
		all.Go(func() {
			for ctx.Err() == nil {
				release, err := enter(ctx)
				if err != nil {
					return
				}
				select {
				case done := <-turns:
					done <- release(ctx)
				case <-ctx.Done():
					return
				}
			}
		})
		recipetest.Eventually(t, "one more in the line", func() bool {
			line, err := reader.Get(ctx, name+"/", gateway.Prefix(), gateway.CountOnly())
			return err == nil && line.Count > int64(i+1)
		})
	}
	pass := func() {
		done := make(chan error, 1)
		turns <- done
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	// A hold that ends before its note is put costs an election two requests and an event less.
	settle := func() {
		if r.notes && n > short {
			recipetest.Eventually(t, "the note of the holder", func() bool {
				return noted(ctx, reader, name)
			})
		}
	}
	if err := opener(ctx); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil { // with its copy of the line
		t.Fatal(err)
	}
	for range near {
		pass()
	}
	settle()
	sent, received, seen := requests.Load(), bytes.Load(), events(t)
	began := time.Now()
	for range counted {
		pass()
		settle()
	}
	got := cost{
		requests: float64(requests.Load()-sent) / counted,
		events:   (events(t) - seen) / counted,
	}
	// The clients also probe their streams, and the answers are not counted.
	took, busy := time.Since(began), bytes.Load()-received
	received = bytes.Load()
	recipetest.Pause(t, ctx, took, "as long at rest")
	rest := bytes.Load() - received
	t.Logf("%v: received %d bytes, and %d at rest", took, busy, rest)
	got.bytes = float64(busy-rest) / counted
	return got
}

// noted reports whether the first member of a line has put its key again. A semaphore has two
// settings beside its members.
func noted(ctx context.Context, reader *gateway.Client, name string) bool {
	front, err := reader.Get(ctx, name+"/", gateway.Prefix(), gateway.Limit(3),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Ascend))
	if err != nil {
		return false
	}
	for _, kv := range front.KVs {
		if !strings.HasPrefix(kv.Key, name+"//") {
			return kv.Version > 1
		}
	}
	return false
}

// events returns how many events the member has sent to watches.
func events(t *testing.T) float64 {
	t.Helper()
	const metric = "etcd_debugging_mvcc_events_total "
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		cluster.Endpoints()[0]+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if value, ok := strings.CutPrefix(in.Text(), metric); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatal("the member does not count events")
	return 0
}

type countingConn struct {
	net.Conn
	in *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}
