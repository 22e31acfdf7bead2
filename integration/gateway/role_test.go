package gateway_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestARoleForAPrefixSufficesForANamespace: a user who may read and write only one prefix can do
// everything in a namespace there, and nothing outside of it.
func TestARoleForAPrefixSufficesForANamespace(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		const ns, password = "app/", "canary-password"
		o := recipetest.Server(version)
		o.RootPassword = "canary-root"
		own := etcdtest.Start(t, o)
		root := own.ClientV3(t)
		ctx := within(t, patience)
		must(root.UserAdd(ctx, "worker", password))(t)
		must(root.RoleAdd(ctx, "worker"))(t)
		both := clientv3.PermissionType(clientv3.PermReadWrite)
		must(root.RoleGrantPermission(ctx, "worker", ns, clientv3.GetPrefixRangeEnd(ns), both))(t)
		must(root.UserGrantRole(ctx, "worker", "worker"))(t)
		must(root.Put(ctx, "apq", "before"))(t)
		must(root.Put(ctx, "app0", "behind"))(t)
		cfg := gateway.Config{
			Endpoints: own.Endpoints(), Username: "worker", Password: password,
			AllowPlaintextAuth: true, Namespace: ns,
		}
		c := newClient(t, cfg)

		// KV, up to the edges of the namespace.
		must(c.Put(ctx, "k", []byte("1")))(t)
		must(c.Create(ctx, "\x00", []byte("first")))(t)
		must(c.Create(ctx, "\xff\xff", []byte("last")))(t)
		must(c.CompareAndSwap(ctx, "k", []byte("1"), []byte("2")))(t)
		for name, opt := range map[string]gateway.Option{
			"Prefix": gateway.Prefix(), "FromKey": gateway.FromKey(),
			"Range": gateway.Range("\xff\xff\xff"),
		} {
			key := map[string]string{"Range": "\x00"}[name]
			if r := must(c.Get(ctx, key, opt))(t); r.Count != 3 || r.KVs[2].Key != "\xff\xff" ||
				string(r.KVs[1].Value) != "2" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		txn := must(c.Txn(ctx, gateway.Txn{
			If: []gateway.Cmp{
				gateway.CmpCreateRevision("", gateway.Greater, 0).Prefix(),
				gateway.CmpVersion("", gateway.Greater, 0).FromKey(),
				gateway.CmpLease("k", gateway.Equal, 0).Range("l"),
			},
			Then: []gateway.Op{gateway.OpTxn(gateway.Txn{
				If: []gateway.Cmp{gateway.CmpValue("k", gateway.Equal, []byte("2"))},
				Then: []gateway.Op{
					gateway.OpDelete("\xff", gateway.Prefix(), gateway.PrevKV()),
					gateway.OpGet("", gateway.Prefix()),
				},
			})},
		}))(t)
		nested := txn.Responses[0].Txn
		if r := nested.Responses; !nested.Succeeded ||
			r[0].Delete.PrevKVs[0].Key != "\xff\xff" || r[1].Get.Count != 2 {
			t.Errorf("%+v", nested)
		}
		key, _, err := c.PutSequential(ctx, "in-order", []byte("v"))
		if kv := must(root.Get(ctx, ns+key))(t); err != nil || kv.Count != 1 {
			t.Errorf("%q, %v", key, err)
		}
		for _, err := range c.Pages(ctx, "", 1, gateway.Prefix()) {
			if err != nil {
				t.Error(err)
			}
		}

		// Leases and watches.
		lease := must(c.Grant(ctx, 0, time.Minute))(t)
		w := must(c.Watch(ctx, "", gateway.Prefix()))(t)
		must(c.Put(ctx, "leased", nil, gateway.WithLease(lease.ID)))(t)
		if info := must(c.TimeToLive(ctx, lease.ID, true))(t); len(info.Keys) != 1 ||
			info.Keys[0] != "leased" {
			t.Errorf("%+v", info)
		}
		must(c.KeepAliveOnce(ctx, lease.ID))(t)
		must(root.Put(ctx, "app0", "behind"))(t)
		if err := c.Revoke(ctx, lease.ID); err != nil {
			t.Error(err)
		}
		var seen []string
		for ev, err := range w.Events() {
			if seen = append(seen, fmt.Sprintf("%s %v", ev.KV.Key, ev.Deleted)); err != nil ||
				len(seen) == 2 {
				break
			}
		}
		if fmt.Sprint(seen) != "[leased false leased true]" {
			t.Errorf("watched %q", seen)
		}

		// A recipe.
		inside := 0
		var all sync.WaitGroup
		for range 2 {
			s := recipetest.NewSession(t, newClient(t, cfg), nil)
			all.Go(func() {
				for range 10 {
					l, err := mutex.New(s, "jobs", nil).Lock(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					inside++
					if err := l.Unlock(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if inside != 20 {
			t.Errorf("%d grants", inside)
		}
		if n := must(root.Get(ctx, "holdfast/", clientv3.WithPrefix()))(t).Count; n != 0 {
			t.Errorf("%d records outside of the namespace", n)
		}
		if n := must(root.Get(ctx, ns+"holdfast/", clientv3.WithPrefix()))(t).Count; n != 2 {
			t.Errorf("%d records in the namespace", n)
		}

		// Outside.
		cfg.Namespace = ""
		bare := newClient(t, cfg)
		denied := map[string]error{}
		_, denied["get"] = bare.Get(ctx, "app0")
		_, denied["get of more"] = bare.Get(ctx, "app", gateway.Prefix())
		_, denied["put"] = bare.Put(ctx, "apq", nil)
		_, denied["delete"] = bare.Delete(ctx, "app/k", gateway.FromKey())
		_, denied["create"] = bare.Create(ctx, "elsewhere", nil)
		outside := gateway.Txn{Else: []gateway.Op{gateway.OpPut("apq", nil)}}
		_, denied["txn"] = bare.Txn(ctx, outside)
		if version != "3.4" { // 3.4 does not check nested transactions
			_, denied["nested"] = bare.Txn(ctx, gateway.Txn{
				Then: []gateway.Op{gateway.OpTxn(outside)},
			})
		}
		_, denied["watch"] = bare.Watch(ctx, "app", gateway.Prefix())
		for what, err := range denied {
			if !errors.Is(err, gateway.ErrPermissionDenied) ||
				errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
