package shard_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

// TestPause: a paused shard is run by no member, also after joins, losses and a restart of all, and
// continues with Resume.
func TestPause(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		stopA, stopB := f.start("a", shard.Options{}), f.start("b", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 2, b 2")
		c, ctx := etcd.Client(t), bubble.Within(t, time.Hour)
		last := observe(t, c)
		err := shard.Pause(ctx, c, group, 1, "a bad tenant")
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		if id, ok := f.running[1]; ok {
			t.Errorf("%s runs the shard after Pause", id)
		}
		if cause := f.causes[len(f.causes)-1]; !errors.Is(cause, shard.ErrPaused) {
			t.Errorf("the cause is %v", cause)
		}
		f.mu.Unlock()
		if v := last(); v.Paused[1].Why != "a bad tenant" || v.Paused[1].By == "" ||
			v.Holders[1] != nil || v.Assigned[1] == "" || len(v.Paused) != 1 {
			t.Errorf("%+v", v)
		}
		if _, err := shard.Owner(ctx, c, group, 1); !errors.Is(err, shard.ErrNoOwner) {
			t.Errorf("Owner = %v", err)
		}
		etcd.Revoke(f.leaseOf("a"))
		etcd.Revoke(f.leaseOf("b"))
		stopC := f.start("c", shard.Options{})
		time.Sleep(10 * time.Second)
		for _, stop := range []func() error{stopA, stopB, stopC} {
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		f.start("a", shard.Options{})
		time.Sleep(10 * time.Second)
		f.want("a 3")
		f.mu.Lock()
		if id, ok := f.running[1]; ok {
			t.Errorf("%s runs the shard", id)
		}
		f.mu.Unlock()
		if err := shard.Resume(ctx, c, group, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		f.want("a 4")
		if err := shard.Resume(ctx, c, group, 1); err != nil {
			t.Error(err)
		}
	})
}

// TestPauseDuringAHandOver: the owner of a shard that moves does not wait for a next owner, which a
// paused shard never has.
func TestPauseDuringAHandOver(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.dead("b", time.Hour)
		time.Sleep(time.Second)
		f.want("a 4") // two of them wait for b
		c := etcd.Client(t)
		for s := range 4 {
			if err := shard.Pause(bubble.Within(t, time.Minute), c, group, s, "test"); err != nil {
				t.Error(err)
			}
		}
		f.want("")
		for s := range 4 {
			if err := shard.Resume(bubble.Within(t, time.Minute), c, group, s); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		f.want("a 2")
	})
}

// TestDrainOfAMember: an operator moves the shards of a member without a gap. The order outlives
// the member's process.
func TestDrainOfAMember(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 6)
		stop := f.start("a", shard.Options{})
		f.start("b", shard.Options{})
		f.start("c", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 2, b 2, c 2")
		f.took()
		c, ctx := etcd.Client(t), bubble.Within(t, time.Hour)
		last := observe(t, c)
		if err := shard.Drain(ctx, c, group, "a", "a new disk"); err != nil {
			t.Fatal(err)
		}
		f.want("b 3, c 3")
		if n, gaps := f.took(); n != 2 || len(gaps) != 2 {
			t.Errorf("%d starts, %d moves", n, len(gaps))
		}
		if v := last(); v.Drained["a"].Why != "a new disk" {
			t.Errorf("%+v", v.Drained)
		}
		_ = stop()
		f.start("a", shard.Options{})
		time.Sleep(10 * time.Second)
		f.want("b 3, c 3")
		if err := shard.Undrain(ctx, c, group, "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		f.want("a 2, b 2, c 2")
	})
}

func TestErrorsOfOrders(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c, ctx := etcd.Client(t), bubble.Within(t, time.Minute)
		for name, err := range map[string]error{
			"no reason to pause": shard.Pause(ctx, c, group, 0, " "),
			"no reason to drain": shard.Drain(ctx, c, group, "a", ""),
			"shard":              shard.Pause(ctx, c, group, -1, "test"),
			"too many":           shard.Resume(ctx, c, group, shard.MaxShards),
			"no member":          shard.Drain(ctx, c, group, "", "test"),
			"no group":           shard.Undrain(ctx, c, "", "a"),
			"no client":          shard.Undrain(ctx, nil, group, "a"),
		} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if keys := etcd.Keys(group); len(keys) > 0 {
			t.Errorf("%q", keys)
		}
		// A function that does not end keeps the shard, and Pause waits.
		hang := make(chan struct{})
		f := newFleet(t, etcd, 1)
		stop := f.run(1, nil, func(context.Context, *shard.Shard) error { <-hang; return nil })
		time.Sleep(time.Second)
		err := shard.Pause(bubble.Within(t, time.Second), c, group, 0, "test")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pause = %v", err)
		}
		close(hang)
		time.Sleep(time.Second)
		if keys := etcd.Keys(group + "//shards/"); len(keys) > 0 {
			t.Errorf("%q", keys)
		}
		_ = stop()
	})
}

// TestSetValue: a shard shows its own value, or the member's, and the value ends with the hold.
func TestSetValue(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 1)
		c, ctx := etcd.Client(t), bubble.Within(t, time.Hour)
		shards := make(chan *shard.Shard, 2)
		stop := f.run(1, &shard.Options{Member: member.Options{ID: "a", Value: "10.0.0.7"}},
			func(ctx context.Context, s *shard.Shard) error {
				shards <- s
				<-ctx.Done()
				return nil
			})
		s, last := <-shards, observe(t, c)
		shown := func(want string) {
			t.Helper()
			time.Sleep(time.Second)
			o, err := shard.Owner(ctx, c, group, 0)
			if v := last(); err != nil || o.Value != want || o.Member.ID != "a" ||
				o.Member.Value != "10.0.0.7" || v.Holders != nil && *v.Holders[0] != o {
				t.Errorf("%+v, %v, view %+v", o, err, v)
			}
		}
		shown("10.0.0.7")
		for _, value := range []string{"10.0.0.7:1", "two\nlines", "", "10.0.0.7:2"} {
			if err := s.SetValue(ctx, value); err != nil {
				t.Error(err)
			}
			if value == "" {
				value = "10.0.0.7"
			}
			shown(value)
		}
		err := s.SetValue(ctx, string(make([]byte, member.MaxValue+1)))
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Error(err)
		}
		etcd.Delete(s.Key())
		next := <-shards
		if err := s.SetValue(ctx, "late"); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("SetValue = %v", err)
		}
		shown("10.0.0.7")
		// A value whose answer was lost is followed by the next one.
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { c.Apply(); return fakeetcd.Lost })
		err = next.SetValue(bubble.Within(t, time.Second), "x")
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("SetValue = %v", err)
		}
		etcd.Script(nil)
		if err := next.SetValue(ctx, "y"); err != nil {
			t.Error(err)
		}
		shown("y")
		_ = stop()
	})
}

// TestReportLoad: shards move from the member with the most load, and loads that stay the same move
// nothing.
func TestReportLoad(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 8)
		report := func(id string) func(context.Context, *shard.Shard) error {
			work := f.work(id)
			return func(ctx context.Context, s *shard.Shard) error {
				load := 10
				if s.Number() == 0 {
					load = 70
				}
				s.ReportLoad(load)
				return work(ctx, s)
			}
		}
		for _, id := range []string{"a", "b"} {
			f.run(8, &shard.Options{Member: member.Options{ID: id}}, report(id))
		}
		time.Sleep(time.Minute)
		f.balanced(2)
		f.took()
		before, _ := etcd.Get(group + "//assignment")
		time.Sleep(10 * time.Minute)
		if after, _ := etcd.Get(group + "//assignment"); after.ModRevision != before.ModRevision {
			t.Error("the assignment has changed")
		}
		// The next leader knows the loads.
		etcd.Delete(etcd.Keys(group + "//leader/")[0])
		time.Sleep(10 * time.Minute)
		if n, _ := f.took(); n != 0 {
			t.Errorf("%d starts", n)
		}
		f.run(8, &shard.Options{Member: member.Options{ID: "c"}}, report("c"))
		time.Sleep(time.Minute)
		f.balanced(3)
	})
}

// balanced checks that no member has more than its part of the load of TestReportLoad by more than
// a quarter, or only the one great shard.
func (f *fleet) balanced(members int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := map[string]int{}
	for s, id := range f.running {
		sum[id] += 10
		if s == 0 {
			sum[id] += 60
		}
	}
	for id, load := range sum {
		if most := max(140/members*5/4, 70); load > most || len(sum) != members {
			f.t.Errorf("%s has %d, at most %d are fair: %v", id, load, most, sum)
		}
	}
}

// TestPauseDoesNotTrustAnOldCopy: a copy of the group that lags behind may not have the holder yet.
func TestPauseDoesNotTrustAnOldCopy(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c, ctx := etcd.Client(t), bubble.Within(t, time.Hour)
		etcd.Put(group+"//assignment", `{"n":1,"members":[{"id":"a"}],"shards":[0]}`)
		for _, err := range shard.Observe(ctx, c, group) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		for verb, do := range map[string]func() error{
			"Pause": func() error { return shard.Pause(ctx, c, group, 0, "a bad tenant") },
			"Drain": func() error { return shard.Drain(ctx, c, group, "a", "an update") },
		} {
			etcd.Mute(true)
			const key = group + "//shards/0/1234"
			etcd.Put(key, "a")
			done := make(chan error, 1)
			go func() { done <- do() }()
			time.Sleep(time.Second)
			if len(done) > 0 {
				t.Errorf("%s returned while the shard is held", verb)
			}
			etcd.Delete(key)
			etcd.Mute(false)
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestPauseAfterAMoveThatWasTakenBack: the cause is the pause, not the move.
func TestPauseAfterAMoveThatWasTakenBack(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		f.start("a", shard.Options{})
		time.Sleep(time.Second)
		f.want("a 4")
		const key = group + "//assignment"
		before, _ := etcd.Get(key)
		etcd.Put(key, `{"n":4,"members":[{"id":"gone"}],"shards":[0,0,0,0]}`)
		time.Sleep(time.Second)
		etcd.Put(key, string(before.Value))
		time.Sleep(time.Second)
		f.want("a 4")
		err := shard.Pause(bubble.Within(t, time.Hour), etcd.Client(t), group, 1, "a bad tenant")
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.causes) != 1 || !errors.Is(f.causes[0], shard.ErrPaused) {
			t.Errorf("the causes are %v", f.causes)
		}
	})
}
