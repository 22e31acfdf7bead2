// Package cache_test tests copies of prefixes on real etcd.
package cache_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

func TestMain(m *testing.M) { cluster.Main(m) }

func open(t *testing.T, c *gateway.Client, prefix string, opts *cache.Options) *cache.Cache {
	t.Helper()
	copied, err := cache.Open(within(t, recipetest.Patience), c, prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(copied.Close)
	return copied
}

func put(t *testing.T, c *gateway.Client, key, value string) int64 {
	t.Helper()
	resp, err := c.Put(within(t, recipetest.Patience), key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return resp.Revision
}

// reach waits for a revision.
func reach(t *testing.T, copied *cache.Cache, revision int64) {
	t.Helper()
	if err := copied.WaitRevision(within(t, recipetest.Patience), revision); err != nil {
		t.Fatal(err)
	}
}

// exact compares a state of the copy with a read at its revision. It returns false if that is
// compacted.
func exact(
	ctx context.Context, t *testing.T, c *gateway.Client, prefix string, s cache.Snapshot,
) bool {
	t.Helper()
	var want []gateway.KeyValue
	at := gateway.AtRevision(s.Revision())
	for page, err := range c.Pages(ctx, prefix, 5000, gateway.Prefix(), at) {
		if err != nil {
			return false
		}
		want = append(want, page.KVs...)
	}
	got := slices.Collect(s.Range(""))
	if len(got) != len(want) || s.Len() != len(want) {
		t.Fatalf("revision %d: %d keys, etcd has %d", s.Revision(), len(got), len(want))
	}
	for i := range got {
		if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
			t.Fatalf("revision %d: %v, etcd has %v", s.Revision(), got[i], want[i])
		}
	}
	return true
}

// median returns the median and the greatest of durations, which it sorts.
func median(all []time.Duration) (p50, most time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}
