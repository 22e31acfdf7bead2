// Package shard_test tests shards on real etcd.
package shard_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

// cluster is one member of etcd that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = recipetest.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

func TestMain(m *testing.M) { cluster.Main(m) }

// run runs a member in the background. stop ends it and checks its error.
func run(t *testing.T, c *gateway.Client, group, id string, n int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- shard.Run(ctx, c, group, n, func(ctx context.Context, s *shard.Shard) error {
			s.ReportLoad(10)
			value := fmt.Sprintf("shard %d of %s", s.Number(), id)
			if err := s.SetValue(ctx, value); err != nil && ctx.Err() == nil && s.Err() == nil {
				return err
			}
			<-ctx.Done()
			return nil
		}, &shard.Options{Member: member.Options{ID: id, Value: "at " + id}})
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	}
}

// owners waits until members hold all shards, each its share, and returns the owner of each shard.
func owners(t *testing.T, c *gateway.Client, group string, n int, ids ...string) []string {
	t.Helper()
	for v, err := range shard.Observe(within(t, recipetest.Patience), c, group) {
		if err != nil {
			t.Fatalf("the shards of %q: %v", ids, err)
		}
		share, all := map[string]int{}, make([]string, len(v.Holders))
		for s, h := range v.Holders {
			if h != nil {
				all[s] = h.Member.ID
				share[h.Member.ID]++
			}
		}
		held := len(all) == n
		for _, id := range ids {
			held = held && share[id] >= n/len(ids)
		}
		if held && sum(share, ids) == n {
			return all
		}
	}
	return nil
}

func sum(share map[string]int, ids []string) (n int) {
	for _, id := range ids {
		n += share[id]
	}
	return n
}

// moved returns the number of shards that have another owner.
func moved(a, b []string) (n int) {
	for s := range a {
		if a[s] != b[s] {
			n++
		}
	}
	return n
}
