package gateway_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// theirRelations are the relations as clientv3 writes them.
var theirRelations = map[gateway.Relation]string{
	gateway.Equal: "=", gateway.NotEqual: "!=", gateway.Less: "<", gateway.Greater: ">",
}

// TestComparesMatchClientV3: compares of every target, by every relation, with less than, as much
// as and more than the stored value, on a key, on a missing key, and on ranges, take the same
// branch as clientv3.
func TestComparesMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		lease := must(theirs.Grant(ctx, 60))(t).ID
		must(theirs.Put(ctx, ns+"a", "x"))(t)
		must(theirs.Put(ctx, ns+"b", "m", clientv3.WithLease(lease)))(t)
		must(theirs.Put(ctx, ns+"b", "m", clientv3.WithLease(lease)))(t)
		must(theirs.Put(ctx, ns+"c", "z", clientv3.WithLease(lease)))(t)
		must(theirs.Put(ctx, ns[:len(ns)-1]+"0", "m"))(t)
		b := one(t, theirs, ns, "b")

		type target struct {
			name   string
			stored int64
			ours   func(key string, rel gateway.Relation, n int64) gateway.Cmp
			theirs func(key string, rel string, n int64) clientv3.Cmp
		}
		targets := []target{
			{"version", b.Version, gateway.CmpVersion, func(k, rel string, n int64) clientv3.Cmp {
				return clientv3.Compare(clientv3.Version(k), rel, n)
			}},
			{
				"create", b.CreateRevision, gateway.CmpCreateRevision,
				func(k, rel string, n int64) clientv3.Cmp {
					return clientv3.Compare(clientv3.CreateRevision(k), rel, n)
				},
			},
			{
				"mod", b.ModRevision, gateway.CmpModRevision,
				func(k, rel string, n int64) clientv3.Cmp {
					return clientv3.Compare(clientv3.ModRevision(k), rel, n)
				},
			},
			{"lease", int64(b.Lease), func(k string, rel gateway.Relation, n int64) gateway.Cmp {
				return gateway.CmpLease(k, rel, gateway.LeaseID(n))
			}, func(k, rel string, n int64) clientv3.Cmp {
				return clientv3.Compare(clientv3.LeaseValue(k), rel, n)
			}},
			{"value", 'm', func(k string, rel gateway.Relation, n int64) gateway.Cmp {
				return gateway.CmpValue(k, rel, []byte{byte(n)})
			}, func(k, rel string, n int64) clientv3.Cmp {
				return clientv3.Compare(clientv3.Value(k), rel, string([]byte{byte(n)}))
			}},
		}
		type span struct {
			name, key string
			ours      func(gateway.Cmp) gateway.Cmp
			theirs    func(clientv3.Cmp) clientv3.Cmp
		}
		end := clientv3.GetPrefixRangeEnd
		spans := []span{
			{
				"key", "b", func(c gateway.Cmp) gateway.Cmp { return c },
				func(c clientv3.Cmp) clientv3.Cmp { return c },
			},
			{
				"absent key", "n", func(c gateway.Cmp) gateway.Cmp { return c },
				func(c clientv3.Cmp) clientv3.Cmp { return c },
			},
			{"prefix", "b", gateway.Cmp.Prefix, clientv3.Cmp.WithPrefix},
			{"empty prefix", "n", gateway.Cmp.Prefix, clientv3.Cmp.WithPrefix},
			{"namespace", "", gateway.Cmp.Prefix, clientv3.Cmp.WithPrefix},
			{
				"range", "a", func(c gateway.Cmp) gateway.Cmp { return c.Range("c") },
				func(c clientv3.Cmp) clientv3.Cmp {
					return c.WithRange(ns + "c")
				},
			},
			{"from key", "b", gateway.Cmp.FromKey, func(c clientv3.Cmp) clientv3.Cmp {
				return c.WithRange(end(ns))
			}},
		}
		relations := []gateway.Relation{
			gateway.Equal, gateway.NotEqual,
			gateway.Less, gateway.Greater,
		}
		held, count := map[string]int{}, 0
		for _, target := range targets {
			for _, span := range spans {
				for _, rel := range relations {
					for _, n := range []int64{
						0, target.stored - 1, target.stored,
						target.stored + 1, math.MaxInt64, math.MinInt64,
					} {
						what := fmt.Sprintf("%s of %s %s %d", target.name, span.name, rel, n)
						want := must(theirs.Txn(ctx).If(span.theirs(target.theirs(ns+span.key,
							theirRelations[rel], n))).Commit())(t).Succeeded
						got := must(ours.Txn(ctx, gateway.Txn{
							If:   []gateway.Cmp{span.ours(target.ours(span.key, rel, n))},
							Then: []gateway.Op{gateway.OpGet("b")},
						}))(t)
						if got.Succeeded != want || len(got.Responses) == 1 != want {
							t.Errorf("%s: %v, clientv3 says %v", what, got.Succeeded, want)
						}
						if count++; want {
							held[target.name]++
							held[span.name]++
							held[string(rel)]++
						}
					}
				}
			}
		}
		// Each of them makes a difference: no target, span or relation always fails.
		if len(held) != len(targets)+len(spans)+len(relations) || count != 5*7*4*6 {
			t.Errorf("%d compares, held: %v", count, held)
		}
	})
}

// TestTransactionsMatchClientV3: all kinds of operations, in both branches and nested, checked by
// clientv3.
func TestTransactionsMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		must(theirs.Put(ctx, ns+"old", "1"))(t)
		must(theirs.Put(ctx, ns+"gone/1", "1"))(t)
		must(theirs.Put(ctx, ns+"gone/2", "2"))(t)
		inner := func(key string, cmps ...gateway.Cmp) gateway.Op {
			return gateway.OpTxn(gateway.Txn{
				If:   cmps,
				Then: []gateway.Op{gateway.OpPut(key, []byte("then"))},
				Else: []gateway.Op{gateway.OpPut(key, []byte("else")), gateway.OpGet(key)},
			})
		}
		got := must(ours.Txn(ctx, gateway.Txn{
			If: []gateway.Cmp{
				gateway.CmpVersion("old", gateway.Equal, 1),
				gateway.CmpCreateRevision("new", gateway.Equal, 0),
			},
			Then: []gateway.Op{
				gateway.OpPut("old", []byte("2"), gateway.PrevKV()),
				gateway.OpDelete("gone/", gateway.Prefix(), gateway.PrevKV()),
				gateway.OpPut("new", []byte("1")),
				gateway.OpGet("", gateway.Prefix(), gateway.KeysOnly()),
				inner("a", gateway.CmpVersion("old", gateway.Equal, 1)), // before the transaction
				inner("b", gateway.CmpVersion("old", gateway.Equal, 2)),
				gateway.OpTxn(gateway.Txn{
					Then: []gateway.Op{inner("c",
						gateway.CmpValue("old", gateway.NotEqual, []byte("1")))},
				}),
			},
			Else: []gateway.Op{gateway.OpPut("else", nil)},
		}))(t)
		if !got.Succeeded || len(got.Responses) != 7 {
			t.Fatalf("%+v", got)
		}
		r := got.Responses
		if p := r[0].Put.PrevKV; p == nil || string(p.Value) != "1" || p.Key != "old" {
			t.Errorf("replaced %+v", p)
		}
		if d := r[1].Delete; d.Deleted != 2 || len(d.PrevKVs) != 2 || d.PrevKVs[1].Key != "gone/2" {
			t.Errorf("deleted %+v", d)
		}
		if g := r[3].Get; len(g.KVs) != 2 || g.KVs[0].Key != "new" || g.KVs[1].Key != "old" {
			t.Errorf("read inside of the transaction %+v", g)
		}
		x, y, z := r[4].Txn, r[5].Txn, r[6].Txn
		if !x.Succeeded || len(x.Responses) != 1 || y.Succeeded || len(y.Responses) != 2 ||
			string(y.Responses[1].Get.KVs[0].Value) != "else" || !z.Succeeded ||
			z.Responses[0].Txn.Succeeded {
			t.Errorf("nested %+v %+v %+v", x, y, z)
		}
		now := map[string]string{}
		for _, kv := range must(theirs.Get(ctx, ns, clientv3.WithPrefix()))(t).Kvs {
			now[string(kv.Key[len(ns):])] = string(kv.Value)
			if kv.ModRevision != got.Revision {
				t.Errorf("%s was written at %d, the transaction at %d",
					kv.Key, kv.ModRevision, got.Revision)
			}
		}
		want := map[string]string{"old": "2", "new": "1", "a": "then", "b": "else", "c": "else"}
		if !reflect.DeepEqual(now, want) {
			t.Errorf("clientv3 reads %v", now)
		}
		before := got.Revision
		for what, txn := range map[string]gateway.Txn{
			"a key twice": {Then: []gateway.Op{
				gateway.OpPut("x", nil),
				gateway.OpPut("x", nil),
			}},
			"a lease that is no": {Then: []gateway.Op{
				gateway.OpPut("x", nil),
				gateway.OpPut("y", nil, gateway.WithLease(1)),
			}},
			"too much": {Then: manyOps(129)},
		} {
			_, err := ours.Txn(ctx, txn)
			if err == nil || ctx.Err() != nil || errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("%s: %v", what, err)
			}
		}
		must(ours.Txn(ctx, gateway.Txn{Then: manyOps(128)}))(t)
		if now := must(ours.Get(ctx, "", gateway.Prefix()))(t); now.Revision != before+1 ||
			now.Count != 5+128 {
			t.Errorf("%d keys at revision %d", now.Count, now.Revision)
		}
	})
}

func manyOps(n int) (ops []gateway.Op) {
	for i := range n {
		ops = append(ops, gateway.OpPut(fmt.Sprintf("many/%d", i), nil))
	}
	return ops
}
