package member_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
)

// watch observes the group in the background until the end of the test. It checks each view.
func watch(t *testing.T, c *gateway.Client) <-chan member.View {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	views, done := make(chan member.View, 1000), make(chan struct{})
	go func() {
		defer close(done)
		last := member.View{Revision: -1}
		for v, err := range member.Observe(ctx, c, group) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			if v.Revision <= last.Revision {
				t.Errorf("a view of revision %d after %d", v.Revision, last.Revision)
			}
			for i, m := range v.Members {
				if i > 0 && m.ID <= v.Members[i-1].ID {
					t.Errorf("%q after %q", m.ID, v.Members[i-1].ID)
				}
			}
			last = v
			views <- v
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return views
}

// lastOf returns the last view after nothing more happens.
func lastOf(views <-chan member.View) (last member.View) {
	synctest.Wait()
	for {
		select {
		case last = <-views:
		default:
			return last
		}
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		views, same := watch(t, c), watch(t, c)
		if v := lastOf(views); len(v.Members) != 0 || v.Revision == 0 {
			t.Errorf("the first view is %+v", v)
		}
		a := join(t, c, member.Options{ID: "a"})
		b := join(t, c, member.Options{ID: "b"})
		etcd.Put(keyOf("junk"), "junk")
		if got := idsOf(lastOf(views)); got != "a b" {
			t.Errorf("members %q", got)
		}
		if err := b.Update(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if v := lastOf(views); len(v.Members) != 2 || v.Members[1].Value != "x" {
			t.Errorf("%+v", v)
		}
		leave(t, a)
		if got, too := idsOf(lastOf(views)), idsOf(lastOf(same)); got != "b" || too != "b" {
			t.Errorf("members %q, %q", got, too)
		}
	})
}

// TestObserveAcrossACompaction: the watch misses the events, and the view shows their result.
func TestObserveAcrossACompaction(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		views := watch(t, etcd.Client(t))
		other := etcd.Client(t)
		a, _ := join(t, other, member.Options{ID: "a"}), join(t, other, member.Options{ID: "b"})
		if got := idsOf(lastOf(views)); got != "a b" {
			t.Errorf("members %q", got)
		}
		etcd.BreakWatches(true)
		leave(t, a)
		join(t, other, member.Options{ID: "c"})
		etcd.Compact()
		time.Sleep(time.Second)
		if got := idsOf(lastOf(views)); got != "" {
			t.Errorf("a view during the cut: %q", got)
		}
		etcd.BreakWatches(false)
		time.Sleep(5 * time.Second)
		if got := idsOf(lastOf(views)); got != "b c" {
			t.Errorf("members %q", got)
		}
	})
}

// TestChaos: members lose keys, leases and connections at random. No view has a member twice or
// goes back, and all members return.
func TestChaos(t *testing.T) {
	t.Parallel()
	const rounds, members = 200, 5
	seed := rand.Uint64()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := etcd.Client(t)
		views := watch(t, c)
		for i := range members {
			join(t, etcd.Client(t), member.Options{ID: strconv.Itoa(i)})
		}
		for range rounds {
			key := keyOf(strconv.Itoa(r.IntN(members)))
			switch r.IntN(6) {
			case 0:
				etcd.Delete(key)
			case 1:
				if kv, ok := etcd.Get(key); ok && kv.Lease != 0 {
					etcd.Revoke(kv.Lease)
				}
			case 2:
				etcd.BreakWatches(false)
			case 3:
				etcd.Compact()
			case 4:
				etcd.Put(key, "junk")
			case 5:
				n := r.IntN(5)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					a := c.Apply()
					if c.N == n {
						return fakeetcd.Lost
					}
					return a
				})
			}
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			lastOf(views)
		}
		etcd.Script(nil)
		time.Sleep(20 * time.Second)
		if v := wantIDs(t, c, "0", "1", "2", "3", "4"); t.Failed() {
			t.Logf("seed %d: %+v", seed, v)
		}
	})
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

func TestObserveEndsWithAnError(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.DenyWatches(true)
		err := observeErr(bubble.Within(t, time.Minute), etcd.Client(t), group)
		if !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Observe = %v", err)
		}
		etcd.DenyWatches(false)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := observeErr(ctx, etcd.Client(t), group); !errors.Is(err, context.Canceled) {
			t.Errorf("Observe = %v", err)
		}
	})
}
