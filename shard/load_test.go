package shard_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

// reporting starts a member that reports a load of its shards every second.
func reporting(t *testing.T, etcd *fakeetcd.Server, id string, load int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = shard.Run(ctx, etcd.Client(t), group, 1, func(ctx context.Context, s *shard.Shard) error {
			for ctx.Err() == nil {
				s.ReportLoad(load)
				time.Sleep(time.Second)
			}
			return nil
		}, &shard.Options{Member: member.Options{ID: id}})
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// TestLoadOfAShardThatMovesBack: the last load that was reported is the one of its present owner,
// also if that has reported the same before the shard had moved.
func TestLoadOfAShardThatMovesBack(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		reporting(t, etcd, "a", 100)
		time.Sleep(time.Second)
		reporting(t, etcd, "b", 500)
		time.Sleep(time.Minute)
		c, ctx := etcd.Client(t), bubble.Within(t, time.Hour)
		if err := shard.Drain(ctx, c, group, "a", "a move"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := shard.Undrain(ctx, c, group, "a"); err != nil {
			t.Fatal(err)
		}
		if err := shard.Drain(ctx, c, group, "b", "a move"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		a, _ := etcd.Get(group + "//loads/a")
		b, _ := etcd.Get(group + "//loads/b")
		if b.ModRevision == 0 || a.ModRevision < b.ModRevision {
			t.Errorf("the load of a was put at %d, that of b at %d", a.ModRevision, b.ModRevision)
		}
	})
}

// TestLoadIsReportedAfterAnError: also if it has not changed since.
func TestLoadIsReportedAfterAnError(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("//loads/") {
				etcd.Fill(true)
			}
			return c.Apply()
		})
		reporting(t, etcd, "a", 100)
		time.Sleep(5 * time.Second)
		etcd.Script(nil)
		etcd.Fill(false)
		time.Sleep(time.Minute)
		if _, ok := etcd.Get(group + "//loads/a"); !ok {
			t.Error("the load was not reported")
		}
	})
}
