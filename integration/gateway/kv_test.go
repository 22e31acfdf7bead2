package gateway_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// public converts a key of clientv3.
func public(ns string, kv *mvccpb.KeyValue) gateway.KeyValue {
	out := gateway.KeyValue{
		Key: strings.TrimPrefix(string(kv.Key), ns), CreateRevision: kv.CreateRevision,
		ModRevision: kv.ModRevision,
		Version:     kv.Version, Lease: gateway.LeaseID(kv.Lease),
	}
	if len(kv.Value) > 0 {
		out.Value = kv.Value
	}
	return out
}

func publics(ns string, kvs []*mvccpb.KeyValue) (out []gateway.KeyValue) {
	for _, kv := range kvs {
		out = append(out, public(ns, kv))
	}
	return out
}

// one reads a key by clientv3. It returns nil if there is none.
func one(t *testing.T, theirs *clientv3.Client, ns, key string) *gateway.KeyValue {
	t.Helper()
	kvs := must(theirs.Get(t.Context(), ns+key))(t).Kvs
	if len(kvs) == 0 {
		return nil
	}
	kv := public(ns, kvs[0])
	return &kv
}

// ofTheFuture reports whether etcd has rejected a revision that does not exist yet.
func ofTheFuture(err error) bool {
	e, ok := errors.AsType[*gateway.Error](err)
	return ok && e.Code == gateway.CodeOutOfRange && !errors.Is(err, gateway.ErrCompacted)
}

// TestRangesMatchClientV3 reads with every option, and compares with clientv3's read with the same
// option.
func TestRangesMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		lease := must(theirs.Grant(ctx, 60))(t).ID
		// No two orders agree: keys a to e, created in the order d b e a c, changed again in
		// another, values in a third.
		var created, changed []int64
		for i, k := range []string{"d", "b", "e", "a", "c"} {
			resp := must(theirs.Put(ctx, ns+k, fmt.Sprint((i*3+1)%5), clientv3.WithLease(lease)))(t)
			created = append(created, resp.Header.Revision)
		}
		for i, k := range []string{"c", "c", "a", "e", "c", "a", "d"} {
			changed = append(changed,
				must(theirs.Put(ctx, ns+k, fmt.Sprint((i*2+3)%7)))(t).Header.Revision)
		}
		must(theirs.Put(ctx, ns[:len(ns)-1]+"0", "outside"))(t)
		prefix := gateway.Prefix()
		type (
			opts = []gateway.Option
			opso = []clientv3.OpOption
		)
		theirPrefix := clientv3.WithPrefix()
		made, end := created[3], int64(math.MaxInt64)
		whole := must(theirs.Get(ctx, ns, theirPrefix))(t)
		if len(whole.Kvs) != 5 {
			t.Fatal(whole.Kvs)
		}
		tests := []struct {
			name   string
			key    string
			ours   opts
			theirs opso
		}{
			{"one key", "b", nil, nil},
			{"no key", "bb", nil, nil},
			{"all keys", "", opts{prefix}, opso{theirPrefix}},
			{"prefix", "a", opts{prefix}, opso{theirPrefix}},
			{"range", "b", opts{gateway.Range("d")}, opso{clientv3.WithRange(ns + "d")}},
			{
				"from key", "c",
				opts{gateway.FromKey()},
				opso{clientv3.WithRange(clientv3.GetPrefixRangeEnd(ns))},
			},
			{"limit", "", opts{prefix, gateway.Limit(2)}, opso{theirPrefix, clientv3.WithLimit(2)}},
			{
				"large limit", "",
				opts{prefix, gateway.Limit(math.MaxInt64)},
				opso{theirPrefix, clientv3.WithLimit(math.MaxInt64)},
			},
			{
				"revision", "",
				opts{prefix, gateway.AtRevision(created[2])},
				opso{theirPrefix, clientv3.WithRev(created[2])},
			},
			{
				"keys only", "",
				opts{prefix, gateway.KeysOnly()},
				opso{theirPrefix, clientv3.WithKeysOnly()},
			},
			{
				"count only", "",
				opts{prefix, gateway.CountOnly()},
				opso{theirPrefix, clientv3.WithCountOnly()},
			},
			{
				"serializable", "",
				opts{prefix, gateway.Serializable()},
				opso{theirPrefix, clientv3.WithSerializable()},
			},
			{
				"min mod", "",
				opts{prefix, gateway.MinModRevision(changed[3])},
				opso{theirPrefix, clientv3.WithMinModRev(changed[3])},
			},
			{
				"max mod", "",
				opts{prefix, gateway.MaxModRevision(changed[3])},
				opso{theirPrefix, clientv3.WithMaxModRev(changed[3])},
			},
			{
				"min create", "",
				opts{prefix, gateway.MinCreateRevision(made)},
				opso{theirPrefix, clientv3.WithMinCreateRev(made)},
			},
			{
				"max create", "",
				opts{prefix, gateway.MaxCreateRevision(made)},
				opso{theirPrefix, clientv3.WithMaxCreateRev(made)},
			},
			{
				"beyond", "",
				opts{prefix, gateway.MinModRevision(end)},
				opso{theirPrefix, clientv3.WithMinModRev(end)},
			},
			{
				"some, sorted, limited", "",
				opts{
					prefix, gateway.Limit(1), gateway.MaxModRevision(changed[3]),
					gateway.SortBy(gateway.SortValue, gateway.Descend),
				},
				opso{
					theirPrefix, clientv3.WithLimit(1), clientv3.WithMaxModRev(changed[3]),
					clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend),
				},
			},
		}
		for target, theirTarget := range map[gateway.SortTarget]clientv3.SortTarget{
			gateway.SortKey: clientv3.SortByKey, gateway.SortVersion: clientv3.SortByVersion,
			gateway.SortValue:          clientv3.SortByValue,
			gateway.SortCreateRevision: clientv3.SortByCreateRevision,
			gateway.SortModRevision:    clientv3.SortByModRevision,
		} {
			for order, theirOrder := range map[gateway.SortOrder]clientv3.SortOrder{
				gateway.Ascend: clientv3.SortAscend, gateway.Descend: clientv3.SortDescend,
			} {
				tests = append(tests, struct {
					name   string
					key    string
					ours   opts
					theirs opso
				}{
					"sort by " + string(target) + " " + string(order), "",
					opts{prefix, gateway.SortBy(target, order)},
					opso{theirPrefix, clientv3.WithSort(theirTarget, theirOrder)},
				})
			}
		}
		// as with no option
		same := []string{"all keys", "large limit", "serializable", "sort by KEY ASCEND"}
		for _, tt := range tests {
			want := must(theirs.Get(ctx, ns+tt.key, tt.theirs...))(t)
			for how, got := range map[string]*gateway.GetResponse{
				"get": must(ours.Get(ctx, tt.key, tt.ours...))(t),
				"txn": must(ours.Txn(ctx, gateway.Txn{
					Then: []gateway.Op{gateway.OpGet(tt.key, tt.ours...)},
				}))(t).Responses[0].Get,
			} {
				if !reflect.DeepEqual(got.KVs, publics(ns, want.Kvs)) ||
					got.Count != want.Count || got.More != want.More ||
					got.Revision != want.Header.Revision {
					t.Errorf("%s by a %s: %+v, clientv3 has %+v", tt.name, how, got, want)
				}
			}
			if plain := reflect.DeepEqual(want.Kvs, whole.Kvs) &&
				!want.More; plain != slices.Contains(same, tt.name) {
				t.Errorf("%s has an effect: %v", tt.name, !plain)
			}
		}
		if _, err := ours.Get(ctx, "a", gateway.AtRevision(math.MaxInt64)); !ofTheFuture(err) {
			t.Errorf("the last revision: %v", err)
		}
	})
}

// TestPutsMatchClientV3 writes with every option, and checks by clientv3.
func TestPutsMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		lease, other := must(theirs.Grant(ctx, 60))(t).ID, must(theirs.Grant(ctx, 60))(t).ID
		for name, tt := range map[string]struct {
			value string
			opts  []gateway.Option
			want  string // value and lease
			prev  bool
		}{
			"plain": {"new", nil, "new 0", false},
			"empty": {"", nil, " 0", false},
			"lease": {
				"new",
				[]gateway.Option{gateway.WithLease(gateway.LeaseID(other))},
				fmt.Sprintf("new %d", other), false,
			},
			"prev":         {"new", []gateway.Option{gateway.PrevKV()}, "new 0", true},
			"ignore value": {"", []gateway.Option{gateway.IgnoreValue()}, "old 0", false},
			"ignore lease": {
				"new",
				[]gateway.Option{gateway.IgnoreLease()},
				fmt.Sprintf("new %d", lease), false,
			},
			"ignore value, other lease": {
				"",
				[]gateway.Option{
					gateway.IgnoreValue(), gateway.WithLease(gateway.LeaseID(other)),
					gateway.PrevKV(),
				},
				fmt.Sprintf("old %d", other), true,
			},
		} {
			for _, how := range []string{"put", "txn"} {
				key := name + how
				must(theirs.Put(ctx, ns+key, "old", clientv3.WithLease(lease)))(t)
				before := one(t, theirs, ns, key)
				var got *gateway.PutResponse
				if how == "put" {
					got = must(ours.Put(ctx, key, []byte(tt.value), tt.opts...))(t)
				} else {
					op := gateway.OpPut(key, []byte(tt.value), tt.opts...)
					resp := must(ours.Txn(ctx, gateway.Txn{Then: []gateway.Op{op}}))(t)
					got = resp.Responses[0].Put
				}
				now := one(t, theirs, ns, key)
				if s := fmt.Sprintf("%s %d", now.Value, now.Lease); s != tt.want ||
					now.ModRevision != got.Revision || now.Version != 2 {
					t.Errorf("%s by a %s: %+v, want %s at revision %d",
						name, how, now, tt.want, got.Revision)
				}
				if tt.prev && !reflect.DeepEqual(got.PrevKV, before) ||
					!tt.prev && got.PrevKV != nil {
					t.Errorf("%s by a %s: replaced %+v, was %+v", name, how, got.PrevKV, before)
				}
			}
		}
		for _, opt := range []gateway.Option{gateway.IgnoreValue(), gateway.IgnoreLease()} {
			_, err := ours.Put(ctx, "absent", nil, opt)
			if !errors.Is(err, gateway.ErrInvalid) || errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("keep what is not there: %v", err)
			}
		}
		_, err := ours.Put(ctx, "k", nil, gateway.WithLease(math.MaxInt64))
		if !errors.Is(err, gateway.ErrLeaseNotFound) || one(t, theirs, ns, "k") != nil {
			t.Errorf("a lease that is none: %v", err)
		}
	})
}

// TestDeletesMatchClientV3 deletes with every option, and checks by clientv3.
func TestDeletesMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		must(theirs.Put(ctx, ns[:len(ns)-1]+"0", "outside"))(t)
		for name, tt := range map[string]struct {
			key  string
			opts []gateway.Option
			left string
		}{
			"one":        {"b1", nil, "a b c"},
			"none":       {"b2", nil, "a b b1 c"},
			"prefix":     {"b", []gateway.Option{gateway.Prefix()}, "a c"},
			"range":      {"b", []gateway.Option{gateway.Range("b1")}, "a b1 c"},
			"from":       {"b", []gateway.Option{gateway.FromKey()}, "a"},
			"everything": {"", []gateway.Option{gateway.Prefix()}, ""},
			"from start": {"", []gateway.Option{gateway.FromKey()}, ""},
		} {
			for _, prev := range []bool{false, true} {
				for _, k := range []string{"a", "b", "b1", "c"} {
					must(theirs.Put(ctx, ns+k, k+name))(t)
				}
				before := publics(ns, must(theirs.Get(ctx, ns, clientv3.WithPrefix()))(t).Kvs)
				opts := tt.opts
				if prev {
					opts = append(slices.Clone(opts), gateway.PrevKV())
				}
				got := must(ours.Delete(ctx, tt.key, opts...))(t)
				after := must(theirs.Get(ctx, ns, clientv3.WithPrefix()))(t)
				var left []string
				for _, kv := range after.Kvs {
					left = append(left, strings.TrimPrefix(string(kv.Key), ns))
				}
				gone := slices.DeleteFunc(before, func(kv gateway.KeyValue) bool {
					return slices.Contains(left, kv.Key)
				})
				if strings.Join(left, " ") != tt.left || got.Deleted != int64(len(gone)) ||
					got.Revision != after.Header.Revision {
					t.Errorf("%s: %+v, left %v", name, got, left)
				}
				if prev && len(gone) > 0 && !reflect.DeepEqual(got.PrevKVs, gone) ||
					!prev && got.PrevKVs != nil {
					t.Errorf("%s: deleted %+v, were %+v", name, got.PrevKVs, gone)
				}
			}
		}
		if n := must(theirs.Get(ctx, ns[:len(ns)-1]+"0"))(t).Count; n != 1 {
			t.Error("a key behind the namespace is gone")
		}
	})
}

// TestCompactionsMatchClientV3: compactions of both kinds end the history for clientv3 as well.
func TestCompactionsMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		for _, opts := range [][]gateway.Option{nil, {gateway.Physical()}} {
			old := must(theirs.Put(ctx, ns+"k", "1"))(t).Header.Revision
			rev := must(theirs.Put(ctx, ns+"k", "2"))(t).Header.Revision
			must(theirs.Get(ctx, ns+"k", clientv3.WithRev(old)))(t)
			if err := ours.Compact(ctx, rev, opts...); err != nil {
				t.Fatal(err)
			}
			if _, err := theirs.Get(ctx, ns+"k", clientv3.WithRev(old)); !errors.Is(err,
				rpctypes.ErrCompacted) {
				t.Errorf("clientv3 after Compact: %v", err)
			}
			must(theirs.Get(ctx, ns+"k", clientv3.WithRev(rev)))(t)
			if _, err := ours.Get(ctx, "k", gateway.AtRevision(old)); !errors.Is(err,
				gateway.ErrCompacted) {
				t.Errorf("Get after Compact: %v", err)
			}
			if err := ours.Compact(ctx, rev, opts...); !errors.Is(err, gateway.ErrCompacted) {
				t.Errorf("Compact again: %v", err)
			}
			if err := ours.Compact(ctx, math.MaxInt64, opts...); !ofTheFuture(err) {
				t.Errorf("Compact of the future: %v", err)
			}
		}
	})
}
