package cache_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		endpoint := own.Endpoints()[0]
		c := newClient(t, gateway.Config{Endpoints: []string{endpoint}})
		for name, test := range map[string]func(*testing.T, *gateway.Client, string){
			"Pages":      pages,
			"Changes":    changes,
			"Revisions":  revisions,
			"Leases":     leases,
			"Size":       size,
			"Compaction": compaction,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, endpoint) })
		}
	})
}

// fill puts n keys below a prefix, and returns the last revision.
func fill(t *testing.T, c *gateway.Client, prefix string, n int) (revision int64) {
	t.Helper()
	var txn gateway.Txn
	for i := range n {
		txn.Then = append(txn.Then, gateway.OpPut(prefix+key(i), []byte("value")))
		if len(txn.Then) < 100 && i < n-1 {
			continue
		}
		resp, err := c.Txn(within(t, recipetest.Patience), txn)
		if err != nil {
			t.Fatal(err)
		}
		revision, txn.Then = resp.Revision, nil
	}
	return revision
}

// pages: a load is complete at one revision.
func pages(t *testing.T, c *gateway.Client, _ string) {
	prefix := fresh(t) + "/"
	fill(t, c, prefix, 1000)
	writing, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; writing.Err() == nil; i++ {
			_, _ = c.Put(writing, prefix+key(i%1000), []byte("other"))
			_, _ = c.Delete(writing, prefix+key((i+500)%1000))
		}
	}()
	for range 10 {
		copied := open(t, c, prefix, &cache.Options{PageSize: 50})
		if !exact(within(t, recipetest.Patience), t, c, prefix, copied.Snapshot()) {
			t.Error("the revision is compacted")
		}
	}
	stop()
	<-done
}

// changes: a loop sees every key with its old and its new value.
func changes(t *testing.T, c *gateway.Client, _ string) {
	prefix := fresh(t) + "/"
	put(t, c, prefix+"a", "1")
	copied := open(t, c, prefix, nil)
	changes := copied.Changes(within(t, recipetest.Patience))
	ctx := within(t, recipetest.Patience)
	_, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpPut(prefix+"b", []byte("2")), gateway.OpDelete(prefix + "a"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for change, err := range changes {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case change.Old == nil:
			got = append(got, change.Key+" new "+string(change.New.Value))
		case change.New == nil:
			got = append(got, change.Key+" deleted "+string(change.Old.Value))
		}
		if len(got) == 2 {
			break
		}
	}
	if want := prefix + "a deleted 1, " + prefix + "b new 2"; strings.Join(got, ", ") != want {
		t.Errorf("changes %q, want %q", got, want)
	}
}

// revisions: a wait ends for own keys, and for keys outside of the prefix.
func revisions(t *testing.T, c *gateway.Client, _ string) {
	prefix := fresh(t) + "/"
	copied := open(t, c, prefix, nil)
	for range 20 {
		revision := put(t, c, prefix+"a", "1")
		reach(t, copied, revision)
		if kv, _ := copied.Get(prefix + "a"); kv.ModRevision != revision {
			t.Errorf("%v, want revision %d", kv, revision)
		}
	}
	begun := time.Now()
	reach(t, copied, put(t, c, fresh(t), "other"))
	figure(t, "revision of another key: %v", time.Since(begun).Round(time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := copied.WaitRevision(ctx, 1<<60); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitRevision = %v", err)
	}
}

// leases: a key that expires is deleted from the copy.
func leases(t *testing.T, c *gateway.Client, _ string) {
	prefix := fresh(t) + "/"
	ctx := within(t, recipetest.Patience)
	lease, err := c.Grant(ctx, gateway.NewLeaseID(), time.Minute)
	if err == nil {
		_, err = c.Put(ctx, prefix+"a", nil, gateway.WithLease(lease.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
	copied := open(t, c, prefix, nil)
	if kv, ok := copied.Get(prefix + "a"); !ok || kv.Lease != lease.ID {
		t.Errorf("Get = %v, %v", kv, ok)
	}
	if err := c.Revoke(ctx, lease.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "expiry", func() bool { return copied.Len() == 0 })
}

// size: the limit ends a load, and an open cache.
func size(t *testing.T, c *gateway.Client, _ string) {
	prefix := fresh(t) + "/"
	fill(t, c, prefix, 100)
	opts := &cache.Options{MaxBytes: 10_000}
	_, err := cache.Open(within(t, recipetest.Patience), c, prefix, opts)
	if !errors.Is(err, cache.ErrTooLarge) {
		t.Errorf("Open = %v", err)
	}
	opts.MaxBytes = 50_000
	copied := open(t, c, prefix, opts)
	put(t, c, prefix+"large", strings.Repeat("x", 50_000))
	err = copied.WaitRevision(within(t, recipetest.Patience), 1<<60)
	if !errors.Is(err, cache.ErrTooLarge) {
		t.Errorf("WaitRevision = %v", err)
	}
}

// compaction: events that are lost while the copy is cut off appear as differences.
func compaction(t *testing.T, direct *gateway.Client, endpoint string) {
	prefix := fresh(t) + "/"
	fill(t, direct, prefix, 1000)
	p, err := faultproxy.New(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	copied := open(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}}), prefix,
		&cache.Options{CheckInterval: time.Second})
	changes := copied.Changes(within(t, time.Minute))
	if err := p.Refuse(); err != nil {
		t.Fatal(err)
	}
	p.Reset()
	ctx := within(t, recipetest.Patience)
	put(t, direct, prefix+key(500), "other")
	put(t, direct, prefix+"gone", "")
	_, err = direct.Delete(ctx, prefix+"gone")
	if err == nil {
		_, err = direct.Delete(ctx, prefix+key(600))
	}
	last := put(t, direct, prefix+"new", "")
	if err == nil {
		err = direct.Compact(ctx, last)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "outage", func() bool { return copied.Health().Err != nil })
	if err := p.Admit(); err != nil {
		t.Fatal(err)
	}
	reach(t, copied, last)
	var got []string
	for change, err := range changes {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, strings.TrimPrefix(change.Key, prefix)); len(got) == 3 {
			break
		}
	}
	if strings.Join(got, " ") != key(500)+" "+key(600)+" new" {
		t.Errorf("changes %q", got)
	}
	exact(ctx, t, direct, prefix, copied.Snapshot())
	eventually(t, "health", func() bool { return copied.Health().Err == nil })
}
