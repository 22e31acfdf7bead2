package member_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
)

// TestManyMembers: the members of many processes use one stream for each process, and the last one
// joins as fast as the first. HOLDFAST_MEMBERS is the number of members in 20 processes.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	const processes = 20
	n, err := strconv.Atoi(os.Getenv("HOLDFAST_MEMBERS"))
	if err != nil {
		t.Skip("set HOLDFAST_MEMBERS=1000 for many members")
	}
	group := fresh(t)
	c := cluster.NewClient(t, gateway.Config{})
	before := streams(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	for range processes {
		cmd := process.Command(ctx, args{cluster.Endpoints()[0], group, n / processes})
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}()
	}
	until(t, c, group, func(m map[string]member.Member) bool { return len(m) == n })
	figure(t, "%d members of %d processes had joined after %v", n, processes, time.Since(began))
	each := float64(streams(t)-before-1) / processes // one is the test's own
	figure(t, "%.1f watch streams a process", each)
	if each > 1 {
		t.Errorf("%.1f streams a process, want 1", each)
	}
	began = time.Now()
	m, err := member.Join(within(t, time.Minute), c, group, nil)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	figure(t, "one more member joined in %v", took)
	if took > 2*time.Second {
		t.Errorf("it joined in %v, want at most 2 s", took)
	}
	if err := m.Leave(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

// streams returns the number of watch streams at the server.
func streams(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(cluster.Endpoints()[0] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if value, ok := strings.CutPrefix(in.Text(), "etcd_debugging_mvcc_watch_stream_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatal("no metric of streams")
	return 0
}

// TestChaosOfViews: members join, leave, lose leases and keys, and the history is compacted, at
// random. No view goes back or has an ID twice, and the last one is right. HOLDFAST_MEMBER_ROUNDS
// is the number of rounds, 5 without it.
func TestChaosOfViews(t *testing.T) {
	t.Parallel()
	rounds, err := strconv.Atoi(os.Getenv("HOLDFAST_MEMBER_ROUNDS"))
	if err != nil {
		rounds = 5
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	group, c := fresh(t), newClient(t, gateway.Config{Endpoints: cluster.Endpoints()})
	watch, stop := context.WithCancel(t.Context())
	var observers sync.WaitGroup
	var mu sync.Mutex
	views := 0
	for range 3 {
		own := newClient(t, gateway.Config{Endpoints: cluster.Endpoints()})
		observers.Go(func() {
			last := int64(-1)
			for v, err := range member.Observe(watch, own, group) {
				if err != nil {
					if watch.Err() == nil {
						t.Errorf("Observe = %v", err)
					}
					return
				}
				if v.Revision <= last {
					t.Errorf("revision %d after %d", v.Revision, last)
				}
				if len(byID(v)) != len(v.Members) {
					t.Errorf("an ID twice: %+v", v.Members)
				}
				last = v.Revision
				mu.Lock()
				views++
				mu.Unlock()
			}
		})
	}
	defer func() { stop(); observers.Wait() }()
	const members = 8
	all := map[string]*member.Membership{}
	for range rounds {
		for range 5 {
			id := fmt.Sprint("m", r.IntN(members))
			m := all[id]
			switch k := r.IntN(5); {
			case m == nil:
				all[id] = join(t, c, group, member.Options{ID: id})
			case k == 0:
				if err := m.Leave(within(t, time.Minute)); err != nil && m.State() == member.Joined {
					t.Error(err)
				}
				delete(all, id)
			case k == 1:
				if now, ok := ids(t, c, group)[id]; ok {
					_ = c.Revoke(within(t, time.Minute), now.Lease) // it may have ended
				}
			case k == 2:
				if _, err := c.Delete(within(t, time.Minute), m.Key()); err != nil {
					t.Error(err)
				}
			case k == 3:
				resp, err := c.Get(within(t, time.Minute), m.Key())
				if err == nil {
					_ = c.Compact(within(t, time.Minute), resp.Revision) // another may have been later
				}
			default:
				if err := m.Update(within(t, time.Minute), fmt.Sprint(r.Int())); err != nil {
					t.Error(err)
				}
			}
		}
		until(t, c, group, func(now map[string]member.Member) bool {
			if len(now) != len(all) {
				return false
			}
			for id := range all {
				if _, ok := now[id]; !ok {
					return false
				}
			}
			return true
		})
	}
	for _, m := range all {
		_ = m.Leave(within(t, time.Minute)) // it may be away
	}
	mu.Lock()
	defer mu.Unlock()
	figure(t, "%d rounds, %d views of three observers", rounds, views)
}
