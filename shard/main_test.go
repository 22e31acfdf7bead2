package shard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// group is the name of the group in all tests.
const group = "fleet"

// fleet is the members of a test. It checks that no shard is run by two of them.
type fleet struct {
	t     *testing.T
	etcd  *fakeetcd.Server
	n     int
	chaos bool // keys and leases are lost at any time

	mu      sync.Mutex
	running map[int]string // the member that runs a shard
	ended   map[int]time.Time
	fences  map[int]int64
	starts  int
	gaps    []time.Duration // between two owners of a shard
	causes  []error
}

func newFleet(t *testing.T, etcd *fakeetcd.Server, n int) *fleet {
	t.Helper()
	return &fleet{
		t: t, etcd: etcd, n: n, running: map[int]string{}, ended: map[int]time.Time{},
		fences: map[int]int64{},
	}
}

// work is the function of all members. It writes under the shard when it begins and ends.
func (f *fleet) work(id string) func(context.Context, *shard.Shard) error {
	return func(ctx context.Context, s *shard.Shard) error {
		f.begin(id, s)
		f.write(ctx, s)
		<-ctx.Done()
		moved := errors.Is(context.Cause(ctx), shard.ErrMoved)
		if !f.write(context.WithoutCancel(ctx), s) && moved && !f.chaos {
			f.t.Errorf("shard %d is not held until its function returns: %v", s.Number(), s.Err())
		}
		f.end(s, context.Cause(ctx))
		return context.Cause(ctx)
	}
}

// write writes the fence of a shard under the shard. It checks that no later owner has written, and
// returns whether it has written.
func (f *fleet) write(ctx context.Context, s *shard.Shard) bool {
	put := gateway.OpPut(fmt.Sprint("log/", s.Number()), fmt.Appendf(nil, "%020d", s.Fence()),
		gateway.PrevKV())
	resp, err := s.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
	if err != nil || len(resp.Responses) == 0 { // no responses: an answer was lost
		return err == nil
	}
	prev := resp.Responses[0].Put.PrevKV
	if prev != nil && string(prev.Value) > fmt.Sprintf("%020d", s.Fence()) {
		f.t.Errorf("shard %d: a write with fence %d after %s", s.Number(), s.Fence(), prev.Value)
	}
	return true
}

// begin checks that no other member runs the shard. After a lease or a key was taken from a member
// that lives, its function may go on for a moment, and only writes under the shard are safe.
func (f *fleet) begin(id string, s *shard.Shard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := s.Number()
	if other, ok := f.running[number]; ok && !f.chaos {
		f.t.Errorf("%s and %s run shard %d", id, other, number)
	}
	if s.Fence() <= f.fences[number] {
		f.t.Errorf("shard %d: fence %d after %d", number, s.Fence(), f.fences[number])
	}
	f.running[number], f.fences[number] = id, s.Fence()
	if at, ok := f.ended[number]; ok {
		f.gaps = append(f.gaps, time.Since(at))
	}
	f.starts++
}

func (f *fleet) end(s *shard.Shard, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fences[s.Number()] == s.Fence() {
		delete(f.running, s.Number())
	}
	f.ended[s.Number()] = time.Now()
	f.causes = append(f.causes, cause)
}

// counts returns the number of shards that each member runs, as "a 3, b 2".
func (f *fleet) counts() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	n := map[string]int{}
	for _, id := range f.running {
		n[id]++
	}
	var all []string
	for _, id := range []string{"a", "b", "c", "d"} {
		if n[id] > 0 {
			all = append(all, fmt.Sprintf("%s %d", id, n[id]))
		}
	}
	return strings.Join(all, ", ")
}

func (f *fleet) want(counts string) {
	f.t.Helper()
	if got := f.counts(); got != counts {
		f.t.Errorf("%q, want %q", got, counts)
	}
}

// took returns the number of starts and the gaps since the last call.
func (f *fleet) took() (starts int, gaps []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	starts, gaps = f.starts, f.gaps
	f.starts, f.gaps = 0, nil
	return starts, gaps
}

// start runs a member in the background. stop ends it and returns its error.
func (f *fleet) start(id string, opts shard.Options) (stop func() error) {
	f.t.Helper()
	opts.Member.ID = id
	return f.run(f.n, &opts, f.work(id))
}

func (f *fleet) run(
	n int, opts *shard.Options, fn func(context.Context, *shard.Shard) error,
) (stop func() error) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	done, c := make(chan error, 1), f.etcd.Client(f.t)
	go func() { done <- shard.Run(ctx, c, group, n, fn, opts) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	f.t.Cleanup(func() { _ = stop() })
	return stop
}

// dead puts the keys of a member that was killed: its record, and the shards that it held.
func (f *fleet) dead(id string, ttl time.Duration, shards ...int) gateway.LeaseID {
	f.t.Helper()
	ctx, c := bubble.Within(f.t, time.Minute), f.etcd.Client(f.t)
	lease, err := c.Grant(ctx, gateway.NewLeaseID(), ttl)
	put := func(key, value string) {
		if err == nil {
			_, err = c.Put(ctx, key, []byte(value), gateway.WithLease(lease.ID))
		}
	}
	put(member.KeyOf(group, id), `{"token":"x","weight":1}`+"\n")
	for _, s := range shards {
		put(fmt.Sprintf("%s//shards/%d/%v", group, s, lease.ID), id)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return lease.ID
}

// leaseOf returns the lease of a member's session.
func (f *fleet) leaseOf(id string) gateway.LeaseID {
	kv, _ := f.etcd.Get(member.KeyOf(group, id))
	return kv.Lease
}

// nothingLeft checks that all members have left without a trace, except for the assignment.
func (f *fleet) nothingLeft() {
	f.t.Helper()
	synctest.Wait()
	keys := f.etcd.Keys(group)
	if len(keys) > 1 || f.etcd.Leases() > 0 || len(f.etcd.Keys(session.DefaultRecordPrefix)) > 0 {
		f.t.Errorf("%q and %d leases are left", keys, f.etcd.Leases())
	}
}
