package election_test

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/election"
)

// TestClientV3AndPrioritiesWaitForEachOther: a candidate of clientv3 leads when its turn comes, and
// waits for candidates with priorities ahead of it.
func TestClientV3AndPrioritiesWaitForEachOther(t *testing.T) {
	t.Parallel()
	ctx, name := within(t, time.Minute), fresh(t)
	theirs := newConcurrency(t)
	their := concurrency.NewElection(theirs, name)
	s := plain(t)
	first, err := election.New(s, name, &election.Options{Priority: 1}).Campaign(ctx, "first")
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		value string
		term  *election.Term
		err   error
	}
	led := make(chan outcome, 4)
	enter := func(value string, priority int) {
		e := election.New(plain(t), name, &election.Options{Priority: priority})
		go func() {
			term, err := e.Campaign(ctx, value)
			led <- outcome{value, term, err}
		}()
	}
	candidates := func(n int) {
		t.Helper()
		eventually(t, "candidates", func() bool {
			all, err := election.New(s, name, nil).Candidates(ctx)
			return err == nil && len(all) == n
		})
	}
	go func() {
		err := their.Campaign(ctx, "theirs")
		led <- outcome{value: "theirs", err: err}
	}()
	candidates(2)
	enter("low", 0)
	candidates(3)
	enter("high", 5)
	candidates(4)
	resign := first.Resign
	for i, want := range []string{"theirs", "high", "low"} {
		if err := resign(ctx); err != nil {
			t.Fatal(err)
		}
		got := <-led
		if got.value != want || got.err != nil {
			t.Fatalf("%q leads, %v; want %q", got.value, got.err, want)
		}
		leader, err := their.Leader(ctx)
		if err != nil || string(leader.Kvs[0].Value) != want {
			t.Errorf("clientv3 sees %v, %v", leader, err)
		}
		resign = their.Resign
		if i > 0 {
			resign = func(ctx context.Context) error { return got.term.Resign(ctx) }
		}
	}
	if err := resign(ctx); err != nil {
		t.Error(err)
	}
}
