package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// TestLargeValuesAndRangesAreReadUnchanged: a value of 1.5 MB and a range of 10,000 keys are read
// unchanged. Larger ones than etcd accepts are rejected.
func TestLargeValuesAndRangesAreReadUnchanged(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		large := make([]byte, 1_500_000)
		source := rand.NewChaCha8([32]byte{7})
		_, _ = source.Read(large)
		must(ours.Put(ctx, "large", large))(t)
		if got := one(t, theirs, ns, "large"); !bytes.Equal(got.Value, large) {
			t.Errorf("clientv3 reads %d bytes", len(got.Value))
		}
		if got := must(ours.Get(ctx, "large"))(t); !bytes.Equal(got.KVs[0].Value, large) {
			t.Errorf("Get reads %d bytes", len(got.KVs[0].Value))
		}
		// above the limit of a request, and above the limit of gRPC
		for _, n := range []int{1_600_000, 3_000_000} {
			_, err := ours.Put(ctx, "larger", make([]byte, n))
			if err == nil || ctx.Err() != nil || errors.Is(err, gateway.ErrUncertain) ||
				one(t, theirs, ns, "larger") != nil {
				t.Errorf("%d bytes: %v", n, err)
			}
		}

		const keys, batch = 10_000, 100
		for i := 0; i < keys; i += batch {
			var ops []clientv3.Op
			for j := range batch {
				ops = append(ops,
					clientv3.OpPut(fmt.Sprintf("%smany/%05d", ns, i+j), fmt.Sprint(i+j)))
			}
			must(theirs.Txn(ctx).Then(ops...).Commit())(t)
		}
		want := publics(ns, must(theirs.Get(ctx, ns+"many/", clientv3.WithPrefix()))(t).Kvs)
		if got := must(ours.Get(ctx, "many/", gateway.Prefix()))(t); len(want) != keys ||
			!reflect.DeepEqual(got.KVs, want) {
			t.Errorf("%d keys, clientv3 reads %d", len(got.KVs), len(want))
		}
		for _, size := range []int64{777, keys, keys + 1} {
			var got []gateway.KeyValue
			pages := 0
			for page, err := range ours.Pages(ctx, "many/", size, gateway.Prefix()) {
				if err != nil {
					t.Fatal(err)
				}
				pages++
				got = append(got, page.KVs...)
				must(theirs.Put(ctx, fmt.Sprintf("%smany/%05d", ns, keys+pages), "too late"))(t)
			}
			if pages != int((keys+size-1)/size) || !reflect.DeepEqual(got, want) {
				t.Errorf("%d keys in %d pages of %d", len(got), pages, size)
			}
			must(theirs.Delete(ctx, fmt.Sprintf("%smany/%05d", ns, keys),
				clientv3.WithRange(ns+"many0")))(t)
		}
	})
}

// TestWatchOfAHugeKey: a request that etcd would not accept does not end the other watches.
func TestWatchOfAHugeKey(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		client, ns, _ := both(t, c)
		watch := func(key string, opts ...gateway.Option) error {
			w, err := client.Watch(within(t, patience), key, opts...)
			if err == nil {
				w.Close()
			}
			return err
		}
		for _, size := range []int{1 << 20, 2 << 20} {
			err := watch(strings.Repeat("x", size), gateway.Prefix())
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("a watch of %d bytes = %.200v", size, err)
			}
		}
		largest := strings.Repeat("x", 256<<10-len(ns))
		for key, opts := range map[string][]gateway.Option{largest: {gateway.Prefix()}, "small": nil} {
			if err := watch(key, opts...); err != nil {
				t.Errorf("a watch of %d bytes = %.200v", len(key), err)
			}
		}
	})
}
