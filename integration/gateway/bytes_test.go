package gateway_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
)

// FuzzRoundTrip: Get, Txn, Delete, a watch and clientv3 return a value byte for byte as it was put.
func FuzzRoundTrip(f *testing.F) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, key := range []string{
		"k", "\x00", "\x00\x00", "\xff", "\xff\xff", "a\xff", "\"\\/<>&", "\u2028\u2029",
		"\xc3\x28", "k\n", "键", string(every),
	} {
		f.Add(key, []byte(key))
		f.Add(key, []byte(nil))
		f.Add(strings.Repeat(key, 40), bytes.Repeat(every, 50))
	}
	random := rand.NewChaCha8([32]byte{3})
	for n := range 100 {
		key, value := make([]byte, 1+n), make([]byte, n*n)
		_, _ = random.Read(key)
		_, _ = random.Read(value)
		f.Add(string(key), value)
	}
	ns := "FuzzRoundTrip/\xff"
	ours := newClient(f, gateway.Config{Endpoints: cluster.Endpoints(), Namespace: ns})
	bare := newClient(f, gateway.Config{Endpoints: cluster.Endpoints()})
	theirs := cluster.ClientV3(f)
	// It keeps the stream open between two inputs.
	must(ours.WatchFunc("", func(gateway.WatchResponse) {}, gateway.Prefix(),
		gateway.NoPut(), gateway.NoDelete()))(f)
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if key == "" || len(key)+len(value) > 1<<20 {
			return
		}
		ctx := within(t, patience)
		same := func(how, gotKey string, gotValue []byte) {
			t.Helper()
			if gotKey != key || !bytes.Equal(gotValue, value) {
				t.Errorf("%s: %q = %q, want %q = %q", how, gotKey, gotValue, key, value)
			}
		}
		watch := must(ours.Watch(ctx, key))(t)
		must(ours.Put(ctx, key, value))(t)
		got := must(ours.Get(ctx, key))(t).KVs[0]
		same("Get", got.Key, got.Value)
		got = must(ours.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpValue(key, gateway.Equal, value)},
			Then: []gateway.Op{gateway.OpGet(key)},
		}))(t).Responses[0].Get.KVs[0]
		same("Txn", got.Key, got.Value)
		kv := must(theirs.Get(ctx, ns+key))(t).Kvs[0]
		same("clientv3", strings.TrimPrefix(string(kv.Key), ns), kv.Value)
		found := false
		for _, kv := range must(ours.Get(ctx, key, gateway.Prefix()))(t).KVs {
			found = found || kv.Key == key
		}
		if !found {
			t.Error("not in its own prefix")
		}
		for ev, err := range watch.Events() {
			if err != nil {
				t.Fatal(err)
			}
			same("watch", ev.KV.Key, ev.KV.Value)
			break
		}
		prev := must(ours.Delete(ctx, key, gateway.PrevKV()))(t).PrevKVs[0]
		same("Delete", prev.Key, prev.Value)

		must(bare.Put(ctx, "bare/"+key, value))(t)
		got = must(bare.Get(ctx, "bare/"+key))(t).KVs[0]
		same("Get without a namespace", strings.TrimPrefix(got.Key, "bare/"), got.Value)
		must(theirs.Delete(ctx, "bare/", clientv3.WithPrefix()))(t)
	})
}

// TestTheEmptyPrefixCoversEveryKey: without a namespace the empty prefix covers every key,
// including the first and the last possible one.
func TestTheEmptyPrefixCoversEveryKey(t *testing.T) {
	c, theirs := newClient(t, gateway.Config{Endpoints: cluster.Endpoints()}), cluster.ClientV3(t)
	ctx := within(t, patience)
	last := strings.Repeat("\xff", 300)
	for _, k := range []string{"\x00", last} {
		must(c.Put(ctx, k, []byte("edge")))(t)
	}
	defer func() {
		for _, k := range []string{"\x00", last} {
			must(theirs.Delete(ctx, k))(t)
		}
	}()
	want := must(theirs.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithKeysOnly()))(t)
	for name, opt := range map[string]gateway.Option{
		"Prefix":  gateway.Prefix(),
		"FromKey": gateway.FromKey(),
	} {
		got := must(c.Get(ctx, "", opt, gateway.KeysOnly()))(t).KVs
		if len(got) != len(want.Kvs) || len(got) < 2 || got[0].Key != "\x00" ||
			got[len(got)-1].Key != last {
			t.Errorf("%s: %d keys, clientv3 reads %d", name, len(got), len(want.Kvs))
		}
	}
	if got := must(c.Get(ctx, "\xff\xff", gateway.Prefix()))(t).KVs; len(got) != 1 ||
		got[0].Key != last {
		t.Errorf("prefix of 0xff: %d keys", len(got))
	}
}
