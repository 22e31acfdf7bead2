package shard_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

// TestJoin: a member that joins gets its share, and no other shard moves.
func TestJoin(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 10)
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 10")
		f.start("b", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 5, b 5")
		if n, gaps := f.took(); n != 15 || len(gaps) != 5 {
			t.Errorf("%d starts, %d moves", n, len(gaps))
		}
		f.start("c", shard.Options{})
		time.Sleep(time.Second)
		if n, gaps := f.took(); n > 4 || len(gaps) != n {
			t.Errorf("%d starts, %d moves", n, len(gaps))
		}
		time.Sleep(time.Minute)
		if n, _ := f.took(); n != 0 {
			t.Errorf("%d starts at rest", n)
		}
	})
}

func TestWeightsOfMembers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 12)
		f.start("a", shard.Options{Member: member.Options{Weight: 3}})
		f.start("b", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 9, b 3")
	})
}

// TestDrain: when the context of Run ends, the shards are handed over one after the other to owners
// that wait already.
func TestDrain(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 12)
		stop := f.start("a", shard.Options{})
		f.start("b", shard.Options{})
		f.start("c", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 4, b 4, c 4")
		f.took()
		most := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			f.mu.Lock()
			most = max(most, f.n-len(f.running))
			f.mu.Unlock()
			c.Sleep(time.Millisecond)
			return c.Apply()
		})
		began := time.Now()
		if err := stop(); !errors.Is(err, context.Canceled) || time.Since(began) > 200*time.Millisecond {
			t.Errorf("Run = %v after %v", err, time.Since(began))
		}
		f.want("b 6, c 6")
		_, gaps := f.took()
		for _, g := range gaps {
			if g > 20*time.Millisecond {
				t.Errorf("a gap of %v", g)
			}
		}
		if len(gaps) != 4 || most > 2 { // one that ends, and one that starts
			t.Errorf("%d moves, up to %d shards without a function", len(gaps), most)
		}
	})
}

// TestLastMember: with nobody to hand over to, Run returns at once.
func TestLastMember(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 5)
		stop := f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 5")
		began := time.Now()
		if err := stop(); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("Run = %v after %v", err, time.Since(began))
		}
		f.want("")
		f.nothingLeft()
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 5")
	})
}

// TestDrainTimeout: a next owner that never comes keeps Run for the timeout only.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		stop := f.start("a", shard.Options{DrainTimeout: 3 * time.Second})
		time.Sleep(time.Second)
		f.dead("b", time.Hour)
		time.Sleep(time.Second)
		f.want("a 4") // a keeps its shards while b does not wait for them
		began := time.Now()
		_ = stop()
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("Run took %v", took)
		}
		f.want("")
	})
}

// TestDeath: the shards of a dead member are held when its lease has ended, and not before.
func TestDeath(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 6)
		lease := f.dead("b", 10*time.Second, 0, 1, 2, 3, 4, 5)
		f.start("a", shard.Options{})
		time.Sleep(9 * time.Second)
		f.want("")
		time.Sleep(3 * time.Second)
		f.want("a 6")
		if etcd.Expiry(lease).IsZero() {
			t.Error("the lease lives")
		}
	})
}

// TestDeathOfTheLeader: the next leader assigns the shards of the one that died.
func TestDeathOfTheLeader(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 6)
		lease := f.dead("b", 10*time.Second, 0, 1, 2)
		c := etcd.Client(t)
		_, err := c.Put(t.Context(), group+"//leader/"+lease.String(), nil, gateway.WithLease(lease))
		if err != nil {
			t.Fatal(err)
		}
		etcd.Put(group+"//assignment",
			`{"n":6,"members":[{"id":"a"},{"id":"b"}],"shards":[1,1,1,0,0,0]}`)
		f.start("a", shard.Options{})
		time.Sleep(9 * time.Second)
		f.want("a 3")
		time.Sleep(3 * time.Second)
		f.want("a 6")
	})
}

// TestSessionLost: all functions end, and run again under another session. The assignment stays.
func TestSessionLost(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 6)
		f.start("a", shard.Options{})
		f.start("b", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 3, b 3")
		f.took()
		before, _ := etcd.Get(group + "//assignment")
		etcd.Revoke(f.leaseOf("a"))
		time.Sleep(time.Second)
		f.want("a 3, b 3")
		if n, _ := f.took(); n != 3 {
			t.Errorf("%d starts", n)
		}
		if after, _ := etcd.Get(group + "//assignment"); after.ModRevision != before.ModRevision {
			t.Error("the assignment has changed")
		}
	})
}

// TestKeyDeleted: a shard whose key is deleted is acquired again.
func TestKeyDeleted(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 3)
		f.start("a", shard.Options{})
		time.Sleep(5 * time.Second)
		f.took()
		etcd.Delete(etcd.Keys(group + "//shards/1/")[0])
		time.Sleep(5 * time.Second)
		f.want("a 3")
		if n, _ := f.took(); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

// TestAssignmentDestroyed: the members keep their shards, and the leader puts the assignment again.
func TestAssignmentDestroyed(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const key = group + "//assignment"
		f := newFleet(t, etcd, 4)
		f.start("a", shard.Options{})
		f.start("b", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 2, b 2")
		f.took()
		before, _ := etcd.Get(key)
		for _, destroy := range []func(){
			func() { etcd.Delete(key) },
			func() { etcd.Put(key, "junk") },
			func() { etcd.Put(key, "{}") },
			func() { etcd.Put(key, `{"n":1,"members":[],"shards":[3]}`) },
		} {
			destroy()
			time.Sleep(time.Second)
			after, _ := etcd.Get(key)
			if string(after.Value) != string(before.Value) {
				t.Errorf("the assignment is %q", after.Value)
			}
		}
		f.want("a 2, b 2")
		if n, _ := f.took(); n != 0 {
			t.Errorf("%d starts", n)
		}
	})
}

var errOwn = errors.New("an error of fn")

// TestEndOfTheFunction: an error ends Run after a drain, nil does not.
func TestEndOfTheFunction(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		fail := make(chan struct{})
		done := make(chan error, 1)
		c := etcd.Client(t)
		go func() {
			done <- shard.Run(t.Context(), c, group, 4, func(ctx context.Context, s *shard.Shard) error {
				switch s.Number() {
				case 0:
					return nil
				case 1:
					select {
					case <-fail:
						return errOwn
					case <-ctx.Done():
						return nil
					}
				}
				return f.work("a")(ctx, s)
			}, nil)
		}()
		time.Sleep(time.Minute)
		f.want("a 2")
		if keys := etcd.Keys(group + "//shards/0/"); len(keys) != 1 {
			t.Errorf("%q", keys)
		}
		close(fail)
		if err := <-done; !errors.Is(err, errOwn) {
			t.Errorf("Run = %v", err)
		}
		f.nothingLeft()
	})
}

func TestErrorsOfRun(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		for name, tt := range map[string]struct {
			n    int
			opts shard.Options
			want error
		}{
			"no shards":   {0, shard.Options{}, gateway.ErrInvalid},
			"many shards": {shard.MaxShards + 1, shard.Options{}, gateway.ErrInvalid},
			"timeout":     {4, shard.Options{DrainTimeout: -1}, gateway.ErrInvalid},
			"weight":      {4, shard.Options{Member: member.Options{Weight: -1}}, gateway.ErrInvalid},
			"mismatch":    {5, shard.Options{}, shard.ErrMismatch},
			"taken":       {4, shard.Options{Member: member.Options{ID: "a"}}, member.ErrTaken},
		} {
			err := shard.Run(t.Context(), etcd.Client(t), group, tt.n, f.work("b"), &tt.opts)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		time.Sleep(time.Second)
		f.want("a 4")
	})
}

// TestCtxEndsDuringAnOutage: Run returns although nothing can be handed over.
func TestCtxEndsDuringAnOutage(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		stop := f.start("a", shard.Options{})
		time.Sleep(time.Second)
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost })
		time.Sleep(time.Minute)
		f.want("")
		began := time.Now()
		if err := stop(); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("Run = %v after %v", err, time.Since(began))
		}
		synctest.Wait()
	})
}

// TestReplaced: a new process with the same ID takes over.
func TestReplaced(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		first := f.run(4, &shard.Options{Member: member.Options{ID: "a"}}, f.work("a"))
		time.Sleep(time.Second)
		f.run(4, &shard.Options{Member: member.Options{ID: "a", TakeOver: true}}, f.work("b"))
		time.Sleep(time.Second)
		f.want("b 4")
		if err := first(); !errors.Is(err, member.ErrReplaced) {
			t.Errorf("Run = %v", err)
		}
	})
}

// TestShardThatMovesBack: a shard that is assigned to the same member again, before another one has
// taken it, is held and served on, also after a loss.
func TestShardThatMovesBack(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const key = group + "//assignment"
		f := newFleet(t, etcd, 2)
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.took()
		before, _ := etcd.Get(key)
		etcd.Put(key, `{"n":2,"members":[{"id":"a"},{"id":"b"}],"shards":[1,0]}`)
		time.Sleep(time.Second)
		etcd.Put(key, string(before.Value))
		time.Sleep(time.Second)
		f.want("a 2")
		if n, _ := f.took(); n != 0 {
			t.Errorf("%d starts", n)
		}
		etcd.Delete(etcd.Keys(group + "//shards/0/")[0])
		time.Sleep(5 * time.Second)
		f.want("a 2")
	})
}

// TestAnErrorAfterALossDoesNotEndRun: a function may notice the loss of its shard by the hold,
// before its own context ends.
func TestAnErrorAfterALossDoesNotEndRun(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 8)
		f.run(8, nil, func(ctx context.Context, s *shard.Shard) error {
			select {
			case <-s.Context().Done():
				return s.Err()
			case <-ctx.Done():
				return nil
			}
		})
		for range 20 {
			time.Sleep(5 * time.Second)
			for _, key := range etcd.Keys(group + "//shards/") {
				etcd.Delete(key)
			}
		}
		time.Sleep(5 * time.Second)
		if keys := etcd.Keys(group + "//shards/"); len(keys) != 8 {
			t.Errorf("held are %q", keys)
		}
	})
}

// TestASecondFleetWaitsForItsNextOwners: the assignment of a fleet that has left, which names no
// member, does not let the members that come later give up shards to nobody.
func TestASecondFleetWaitsForItsNextOwners(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		stop := f.start("a", shard.Options{})
		time.Sleep(time.Second)
		_ = stop()
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 4")
		f.dead("b", time.Hour)
		time.Sleep(time.Second)
		f.want("a 4") // a keeps its shards while b does not wait for them
	})
}
