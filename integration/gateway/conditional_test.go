package gateway_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// TestAConditionalPutIsAppliedUnderItsCondition: each put is applied if its condition holds.
// Otherwise nothing changes, and the error has the current value.
func TestAConditionalPutIsAppliedUnderItsCondition(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		lease := gateway.LeaseID(must(theirs.Grant(ctx, 60))(t).ID)
		put := func(key, value string) int64 {
			return must(theirs.Put(ctx, ns+key, value))(t).Header.Revision
		}
		type answer = *gateway.PutResponse
		type step struct {
			name  string
			setup func(key string) int64 // the key's state before, and its revision
			call  func(key string, rev int64) (answer, error)
			want  string // the value after, "-" for no key
			ok    bool
		}
		none := func(string) int64 { return 0 }
		old := func(key string) int64 { return put(key, "old") }
		empty := func(key string) int64 { return put(key, "") }
		abA := func(key string) int64 {
			rev := put(key, "old")
			put(key, "b")
			put(key, "old")
			return rev
		}
		oldValue, newValue := []byte("old"), []byte("new")
		create := func(opts ...gateway.Option) func(string, int64) (answer, error) {
			return func(k string, _ int64) (answer, error) {
				return ours.Create(ctx, k, newValue, opts...)
			}
		}
		update := func(k string, _ int64) (answer, error) {
			return ours.PutIfExists(ctx, k, newValue, gateway.PrevKV())
		}
		replace := func(was, to []byte) func(string, int64) (answer, error) {
			return func(k string, _ int64) (answer, error) {
				return ours.CompareAndSwap(ctx, k, was, to)
			}
		}
		replaceAt := func(k string, rev int64) (answer, error) {
			return ours.UpdateRevision(ctx, k, rev, newValue)
		}
		atNone := func(k string, _ int64) (answer, error) {
			return ours.UpdateRevision(ctx, k, 0, newValue)
		}
		for _, s := range []step{
			{"create", none, create(gateway.WithLease(lease)), "new", true},
			{"create what is", old, create(), "old", false},
			{"update", old, update, "new", true},
			{"update what is not", none, update, "-", false},
			{"replace", old, replace(oldValue, newValue), "new", true},
			{"replace nothing", empty, replace(nil, newValue), "new", true},
			{"replace by nothing", old, replace(oldValue, nil), "", true},
			{"replace another", old, replace([]byte("x"), newValue), "old", false},
			{"replace what is not", none, replace(nil, newValue), "-", false},
			{"replace, there and back", abA, replace(oldValue, newValue), "new", true},
			{"at", old, replaceAt, "new", true},
			{"at, there and back", abA, replaceAt, "old", false},
			{"at none", none, atNone, "new", true},
			{"at none, but there is", old, atNone, "old", false},
		} {
			rev := s.setup(s.name)
			before := one(t, theirs, ns, s.name)
			got, err := s.call(s.name, rev)
			now, value := one(t, theirs, ns, s.name), "-"
			if now != nil {
				value = string(now.Value)
			}
			if s.ok != (err == nil) || value != s.want {
				t.Errorf("%s: %v, and the value is %q", s.name, err, value)
				continue
			}
			if s.ok {
				if now.ModRevision != got.Revision || got.ClusterID == 0 {
					t.Errorf("%s: %+v, written at %d", s.name, got, now.ModRevision)
				}
				continue
			}
			conflict, ok := errors.AsType[*gateway.ConflictError](err)
			if !ok || !errors.Is(err, gateway.ErrConflict) ||
				(conflict.Current == nil) != (before == nil) ||
				before != nil && conflict.Current.ModRevision != before.ModRevision {
				t.Errorf("%s: %v, %+v", s.name, err, conflict)
			}
		}
		if kv := one(t, theirs, ns, "create"); kv.Lease != lease {
			t.Errorf("created under the lease %v", kv.Lease)
		}
	})
}

// TestNoConcurrentIncrementIsLost increments one key from many goroutines. No increment is lost.
func TestNoConcurrentIncrementIsLost(t *testing.T) {
	ours, ns, theirs := both(t, cluster)
	ctx := within(t, patience)
	const writers, each = 8, 20
	must(ours.Create(ctx, "n", []byte("0")))(t)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			at := must(ours.Get(ctx, "n"))(t).KVs[0]
			for done := 0; done < each; {
				n, _ := strconv.Atoi(string(at.Value))
				next := []byte(strconv.Itoa(n + 1))
				resp, err := ours.UpdateRevision(ctx, "n", at.ModRevision, next)
				conflict, lost := errors.AsType[*gateway.ConflictError](err)
				switch {
				case err == nil:
					done++
					at.Value, at.ModRevision = next, resp.Revision
				case lost:
					at = *conflict.Current
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if kv := one(t, theirs, ns, "n"); string(kv.Value) != strconv.Itoa(writers*each) ||
		kv.Version != writers*each+1 {
		t.Errorf("%s after %d writes", kv.Value, kv.Version-1)
	}
}

// TestSequentialKeysHaveTheOrderOfTheirWrites: many goroutines write on two clients, and a reader
// deletes the keys that it has read. The keys have the order of the writes, and no key appears
// twice.
func TestSequentialKeysHaveTheOrderOfTheirWrites(t *testing.T) {
	ours, ns, theirs := both(t, cluster)
	other := newClient(t, gateway.Config{Endpoints: cluster.Endpoints(), Namespace: ns})
	ctx := within(t, patience)
	lease := must(ours.Grant(ctx, 0, patience))(t)
	const writers, each = 6, 20
	reader := must(ours.Watch(ctx, "dir/", gateway.Prefix(), gateway.NoDelete()))(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	made := map[string]int64{}
	for i := range writers {
		client := []*gateway.Client{ours, other}[i%2]
		all.Go(func() {
			for j := range each {
				value := fmt.Sprintf("%d.%d", i, j)
				key, rev, err := client.PutSequential(ctx, "dir",
					[]byte(value), gateway.WithLease(lease.ID))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made[key] = rev
				mu.Unlock()
			}
		})
	}
	var keys []string
	last := map[string]int{}
	for ev, err := range reader.Events() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, ev.KV.Key)
		var writer string
		var n int
		_, err := fmt.Sscanf(string(ev.KV.Value), "%1s.%d", &writer, &n)
		if err != nil || n != last[writer] || ev.KV.Lease != lease.ID {
			t.Errorf("%+v behind %d of this writer", ev.KV, last[writer])
		}
		last[writer]++
		if len(keys)%2 == 0 {
			must(theirs.Delete(ctx, ns+ev.KV.Key))(t)
		}
		if len(keys) == writers*each {
			break
		}
	}
	all.Wait()
	if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) ||
		len(made) != len(keys) {
		t.Errorf("%d keys, %d made: %v", len(keys), len(made), keys)
	}
	left := must(theirs.Get(ctx, ns+"dir/", clientv3.WithPrefix()))(t)
	for _, kv := range left.Kvs {
		if rev := made[string(kv.Key[len(ns):])]; rev != kv.CreateRevision ||
			len(kv.Key) != len(ns+"dir/")+20 {
			t.Errorf("%s of revision %d, said to be %d", kv.Key, kv.CreateRevision, rev)
		}
	}
	if len(left.Kvs) != len(keys)/2 {
		t.Errorf("%d left of %d", len(left.Kvs), len(keys))
	}
	must(theirs.Put(ctx, ns+"file", "a value"))(t)
	_, _, err := ours.PutSequential(ctx, "file", nil)
	if !errors.Is(err, gateway.ErrInvalid) ||
		string(one(t, theirs, ns, "file").Value) != "a value" {
		t.Errorf("into a key that holds something: %v", err)
	}
}

// TestPagesEndWithAnErrorAfterACompaction: if the revision is compacted during the loop, it ends in
// an error, after pages that are right.
func TestPagesEndWithAnErrorAfterACompaction(t *testing.T) {
	ours, ns, theirs := both(t, cluster)
	ctx := within(t, patience)
	for i := range 10 {
		must(theirs.Put(ctx, fmt.Sprintf("%s%d", ns, i), "v"))(t)
	}
	n := 0
	var end error
	for page, err := range ours.Pages(ctx, "", 3, gateway.Prefix()) {
		if end = err; err != nil {
			break
		}
		if n += len(page.KVs); n == 6 {
			rev := must(theirs.Put(ctx, ns+"9", "v"))(t).Header.Revision
			must(theirs.Compact(ctx, rev))(t)
		}
	}
	if n != 6 || !errors.Is(end, gateway.ErrCompacted) {
		t.Errorf("%d keys, then %v", n, end)
	}
}
