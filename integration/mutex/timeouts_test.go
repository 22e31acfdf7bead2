package mutex_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// timeoutsEnv selects all rounds of TestElectionTimeouts; "make election-timeouts" sets it.
const timeoutsEnv = "HOLDFAST_ELECTION_TIMEOUTS"

// electionTimeouts are the timeouts of three members during a rolling change. A member grants no
// lease for less than one and a half times its own timeout: 2, 5 and 15 s.
var electionTimeouts = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}

// change is a change of leader. If from and to are equal the leader does not change.
type change struct {
	from, to int
	kill     bool // kill the leader, so that any other member may be elected
}

// TestElectionTimeouts disconnects holders from members that grant different times to live, while
// the leader changes. No holder's context may end after its key is deleted.
func TestElectionTimeouts(t *testing.T) {
	t.Parallel()
	changes, perChange := []change{{2, 0, false}, {0, 0, false}}, 6
	if os.Getenv(timeoutsEnv) != "" {
		changes, perChange = []change{
			{2, 0, false},
			{0, 1, false},
			{1, 2, false},
			{2, 1, false},
			{1, 0, false},
			{0, 2, false},
			{2, 0, true},
			{0, 0, false},
			{1, 1, false},
			{0, 1, true},
		}, 10
	}
	three := etcdtest.Start(t, &etcdproc.Options{
		Version: etcdproc.Versions()[0], Members: len(electionTimeouts), UnsafeNoFsync: true,
		ElectionTimeouts: electionTimeouts, ExtraArgs: []string{"--quota-backend-bytes=1073741824"},
	})
	r := &mixed{
		T: t, three: three,
		admin: newClient(t, gateway.Config{Endpoints: three.Endpoints()}), prefix: fresh(t),
	}
	r.deleted = earliestDeletions(t, three, r.prefix)
	for i, member := range three.Members() { // the test needs different times to live
		asked, answered := int64(5), max(5, int64(electionTimeouts[i].Seconds()*3/2))
		g, err := three.ClientV3(t, member.GRPCEndpoint()).Grant(within(t, time.Minute), asked)
		if err != nil || g.TTL != answered {
			t.Fatalf("%s grants %+v, %v, and was to grant %d s", member.Name(), g, err, answered)
		}
	}
	for _, c := range changes {
		r.round(c, perChange)
	}
	figure(t, "%d rounds over election timeouts of %v: %d overlaps, smallest margin %v (delete "+
		"after the end of the context)",
		r.rounds, electionTimeouts, r.overlaps, r.margin.Round(time.Millisecond))
	if r.overlaps > 0 || r.margin < 0 {
		t.Errorf("%d overlaps, smallest margin %v", r.overlaps, r.margin)
	}
}

// mixed is the state that the rounds share.
type mixed struct {
	*testing.T
	three   *etcdtest.Cluster
	admin   *gateway.Client
	prefix  string
	deleted func(key string) (time.Time, bool)

	mu       sync.Mutex
	rounds   int
	overlaps int
	margin   time.Duration
}

// round has n holders, spread over the members. Each is disconnected at a random time around the
// change of leader.
func (r *mixed) round(c change, n int) {
	r.lead(c.from)
	waiting := newClient(r, gateway.Config{Endpoints: r.three.Endpoints()})
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		name := fmt.Sprintf("%s/%d", r.prefix, r.rounds+i)
		p := newProxy(r, r.three.Member(i%3).Addr())
		s := newSession(r, newClient(r, gateway.Config{Endpoints: []string{p.URL()}}),
			&session.Options{TTL: 5 * time.Second})
		held := lock(r, s, name)
		next := newSession(r, waiting, &session.Options{TTL: time.Minute})
		all.Go(func() {
			ready.Done()
			<-start
			//nolint:forbidigo // at a random time around the change
			time.Sleep(rand.N(4 * time.Second))
			p.Blackhole(faultproxy.Both)
			<-held.Context().Done()
			r.note(c, name, held, time.Now())
		})
		all.Go(func() {
			l, err := mutex.New(next, name, nil).Lock(within(r, 2*time.Minute))
			if err != nil {
				r.Errorf("%+v: the next Lock: %v", c, err)
				return
			}
			if err := held.Context().Err(); err == nil {
				r.overlap(c, name)
			}
			unlock(r, l)
		})
	}
	ready.Wait()
	close(start)
	time.Sleep(2 * time.Second) //nolint:forbidigo // in the middle of the disconnections
	killed := r.three.Member(c.from)
	if c.kill {
		if err := killed.Kill(); err != nil {
			r.Fatal(err)
		}
	} else {
		r.lead(c.to)
	}
	all.Wait()
	r.rounds += n
	if c.kill {
		if err := killed.Restart(within(r, time.Minute)); err != nil {
			r.Fatal(err)
		}
	}
}

// lead makes a member the leader.
func (r *mixed) lead(i int) {
	r.Helper()
	m := r.three.Member(i)
	eventually(r, m.Name()+" leads", func() bool {
		if r.three.FindLeader(r) == m {
			return true
		}
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		_ = r.admin.Cluster().MoveLeader(ctx, m.ID()) // repeated until it leads
		return false
	})
}

// note records the time from the end of a hold to the deletion of its key.
func (r *mixed) note(c change, name string, l *mutex.Lock, done time.Time) {
	var gone time.Time
	for ok := false; !ok && r.Context().Err() == nil; {
		if gone, ok = r.deleted(l.Key()); !ok {
			//nolint:forbidigo // between two reads of the watcher's log
			time.Sleep(5 * time.Millisecond)
		}
	}
	margin := gone.Sub(done)
	r.Logf("%+v: %s: deleted %v after the end of the context", c, name,
		margin.Round(time.Millisecond))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.margin == 0 || margin < r.margin {
		r.margin = margin
	}
}

func (r *mixed) overlap(c change, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overlaps++
	r.Errorf("%+v: %s: two holders", c, name)
}

// earliestDeletions returns a function that reports when any member first showed the deletion of a
// key.
func earliestDeletions(
	tb testing.TB, c *etcdtest.Cluster, prefix string,
) (at func(key string) (time.Time, bool)) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	var mu sync.Mutex
	seen := map[string]time.Time{}
	var readers sync.WaitGroup
	for _, m := range c.Members() {
		watch := c.ClientV3(tb, m.GRPCEndpoint()).Watch(ctx, prefix, clientv3.WithPrefix(),
			clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
		<-watch
		readers.Go(func() {
			for resp := range watch {
				now := time.Now()
				mu.Lock()
				for _, ev := range resp.Events {
					if key := string(ev.Kv.Key); seen[key].IsZero() {
						seen[key] = now
					}
				}
				mu.Unlock()
			}
		})
	}
	tb.Cleanup(func() { cancel(); readers.Wait() })
	return func(key string) (time.Time, bool) {
		mu.Lock()
		defer mu.Unlock()
		t, ok := seen[key]
		return t, ok
	}
}
