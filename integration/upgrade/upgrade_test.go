// Package upgrade_test upgrades a cluster from one version of etcd to the next under load.
package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRollingUpgrade upgrades the members of a cluster one after the other, from 3.5 to 3.6 to 3.7,
// under load. No session is lost, no call fails, the counter under the lock is exact, and each item
// of the queue is processed once.
func TestRollingUpgrade(t *testing.T) {
	three := etcdtest.Start(t, &etcdproc.Options{Version: "3.5", Members: 3, UnsafeNoFsync: true})
	u := users{
		t: t, ctx: recipetest.Within(t, 5*time.Minute), stop: make(chan struct{}),
		done: map[string]int{},
	}
	var sessions []*session.Session
	for range 3 {
		c := recipetest.NewClient(t, gateway.Config{Endpoints: three.Endpoints()})
		sessions = append(sessions, recipetest.NewSession(t, c, nil))
	}
	for _, s := range sessions {
		u.all.Go(func() { u.count(s) })
		u.all.Go(func() { u.produce(s) })
		u.all.Go(func() { u.consume(s) })
	}
	term, err := election.New(sessions[0], "leader", nil).Campaign(u.ctx, "the first")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"3.6", "3.7"} {
		leader := three.FindLeader(t)
		for _, m := range append(others(three.Members(), leader), leader) {
			u.goOn(version + " before " + m.Name())
			if err := m.Upgrade(u.ctx, version); err != nil {
				t.Fatal(err)
			}
		}
		u.goOn(version)
	}
	close(u.stop)
	u.all.Wait()

	c := recipetest.NewClient(t, gateway.Config{Endpoints: three.Endpoints()})
	if got := number(t, u.ctx, c); got != u.counted.Load() {
		t.Errorf("the counter is at %d after %d increments", got, u.counted.Load())
	}
	for item := range u.produced.Load() {
		if n := u.done[strconv.FormatInt(item, 10)]; n != 1 {
			t.Errorf("item %d was done %d times", item, n)
		}
	}
	for _, s := range sessions {
		if err := s.Err(); err != nil {
			t.Error(err)
		}
	}
	if err := term.Err(); err != nil {
		t.Errorf("leadership: %v", err)
	}
	recipetest.Figure(t, "rolling upgrade 3.5, 3.6, 3.7: %d increments under the lock, %d items, "+
		"longest gap %v",
		u.counted.Load(), u.produced.Load(), time.Duration(u.gap.Load()).Round(time.Millisecond))
}

// users use the cluster until stop is closed.
type users struct {
	t    *testing.T
	ctx  context.Context // ends with the whole test
	stop chan struct{}
	all  sync.WaitGroup

	counted, produced, acked atomic.Int64
	gap                      atomic.Int64 // the longest increment, in nanoseconds

	mu   sync.Mutex
	done map[string]int // how often each item was processed
}

func (u *users) stopped() bool {
	select {
	case <-u.stop:
		return true
	default:
		return u.t.Failed()
	}
}

// count increments a number in etcd. The number is right only if the holders of the lock exclude
// each other.
func (u *users) count(s *session.Session) {
	for !u.stopped() {
		begin := time.Now()
		err := mutex.New(s, "count", nil).Do(u.ctx,
			func(ctx context.Context, lock *mutex.Lock) error {
				n := number(u.t, ctx, s.Client())
				_, err := lock.Txn(ctx,
					gateway.Txn{Then: []gateway.Op{gateway.OpPut("number",
						strconv.AppendInt(nil, n+1, 10))}})
				return err
			})
		if err != nil {
			u.t.Errorf("count: %v", err)
			return
		}
		u.counted.Add(1)
		for took := int64(time.Since(begin)); ; {
			if old := u.gap.Load(); took <= old || u.gap.CompareAndSwap(old, took) {
				break
			}
		}
	}
}

func (u *users) produce(s *session.Session) {
	q := queue.New(s, "jobs", &queue.Options{MaxLength: 50})
	for !u.stopped() {
		if _, err := q.Enqueue(u.ctx, fmt.Append(nil, u.produced.Add(1)-1), nil); err != nil {
			u.t.Errorf("produce: %v", err)
			return
		}
	}
}

// consume receives and acknowledges items until all produced items are processed.
func (u *users) consume(s *session.Session) {
	q := queue.New(s, "jobs", nil)
	for !u.stopped() || u.acked.Load() < u.produced.Load() && !u.t.Failed() {
		ctx, cancel := context.WithTimeout(u.ctx, time.Second)
		m, err := q.Receive(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && u.ctx.Err() == nil {
			continue
		}
		if err == nil {
			err = m.Ack(u.ctx)
		}
		if err != nil {
			u.t.Errorf("consume: %v", err)
			return
		}
		u.mu.Lock()
		u.done[string(m.Value)]++
		u.mu.Unlock()
		u.acked.Add(1)
	}
}

// goOn waits until there are twenty more increments and twenty more acknowledged items.
func (u *users) goOn(when string) {
	u.t.Helper()
	counted, acked := u.counted.Load()+20, u.acked.Load()+20
	recipetest.Eventually(u.t, when, func() bool {
		return u.counted.Load() >= counted && u.acked.Load() >= acked
	})
}

func number(t *testing.T, ctx context.Context, c *gateway.Client) int64 {
	resp, err := c.Get(ctx, "number")
	if err != nil {
		t.Errorf("read the number: %v", err)
		return -1
	}
	if len(resp.KVs) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(resp.KVs[0].Value), 10, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

func others(all []*etcdproc.Member, not *etcdproc.Member) []*etcdproc.Member {
	var rest []*etcdproc.Member
	for _, m := range all {
		if m != not {
			rest = append(rest, m)
		}
	}
	return rest
}
