package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// client is the program's client, made once by gateway.New.
var client *gateway.Client

// New sends no request. If the cluster cannot be reached, the first call returns the error.
func ExampleNew() {
	c, err := gateway.New(gateway.Config{
		Endpoints: []string{"http://10.0.0.1:2379", "http://10.0.0.2:2379"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c, c.Close())
	// Output: etcd client of http://10.0.0.1:2379,http://10.0.0.2:2379 <nil>
}

func ExampleClient_Get() {
	ctx := context.Background()
	for _, city := range []string{"Oslo", "Rome", "Riga"} {
		if _, err := client.Put(ctx, "cities/"+city, []byte(city)); err != nil {
			fmt.Println(err)
			return
		}
	}
	one, err := client.Get(ctx, "cities/Oslo")
	fmt.Printf("%s %v\n", one.KVs[0].Value, err)

	all, err := client.Get(ctx, "cities/", gateway.Prefix(), gateway.Limit(2), gateway.KeysOnly())
	fmt.Println(all.KVs[1].Key, all.Count, all.More, err)

	gone, err := client.Delete(ctx, "cities/", gateway.Prefix())
	fmt.Println(gone.Deleted, err)
	// Output:
	// Oslo <nil>
	// cities/Riga 3 true <nil>
	// 3 <nil>
}

// Each call returns when its context ends. If that interrupts a write, it may have been applied.
func ExampleClient_Put() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := client.Put(ctx, "greeting", []byte("hello"))
	switch {
	case errors.Is(err, gateway.ErrUncertain):
		fmt.Println("it may have been applied:", err)
	case err != nil:
		fmt.Println("it was not applied:", err)
	default:
		fmt.Println("applied")
	}
	// Output: applied
}

// Txn applies all operations or none. Here it applies them only if the key has not changed since it
// was read.
func ExampleClient_Txn() {
	ctx := context.Background()
	put, err := client.Put(ctx, "stock/apples", []byte("3"))
	if err != nil {
		fmt.Println(err)
		return
	}
	sell := gateway.Txn{
		If: []gateway.Cmp{gateway.CmpModRevision("stock/apples", gateway.Equal, put.Revision)},
		Then: []gateway.Op{
			gateway.OpPut("stock/apples", []byte("2")),
			gateway.OpPut("sold/1", []byte("apple")),
		},
		Else: []gateway.Op{gateway.OpGet("stock/apples")},
	}
	resp, err := client.Txn(ctx, sell)
	fmt.Println(resp.Succeeded, err)
	resp, err = client.Txn(ctx, sell) // the key has changed meanwhile
	fmt.Printf("%v %s %v\n", resp.Succeeded, resp.Responses[0].Get.KVs[0].Value, err)
	// Output:
	// true <nil>
	// false 2 <nil>
}

// Create returns a conflict with the current value if the key exists.
func ExampleClient_Create() {
	ctx := context.Background()
	if _, err := client.Create(ctx, "names/anna", []byte("first")); err != nil {
		fmt.Println(err)
		return
	}
	_, err := client.Create(ctx, "names/anna", []byte("second"))
	if conflict, ok := errors.AsType[*gateway.ConflictError](err); ok {
		fmt.Printf("taken by the %s\n", conflict.Current.Value)
	}
	// Output: taken by the first
}

// A watch resumes by itself when a connection breaks or a member dies, and misses no event.
func ExampleClient_Watch() {
	ctx := context.Background()
	w, err := client.Watch(ctx, "doors/", gateway.Prefix()) // from here on it sees all changes
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Put(ctx, "doors/7", []byte("open")); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Delete(ctx, "doors/7"); err != nil {
		fmt.Println(err)
		return
	}
	for ev, err := range w.Events() {
		if err != nil {
			fmt.Println(err) // the last one, for example gateway.ErrCompacted
			break
		}
		fmt.Println(ev.KV.Key, string(ev.KV.Value), ev.Deleted)
		if ev.Deleted {
			break // closes the watch
		}
	}
	// Output:
	// doors/7 open false
	// doors/7  true
}

// Pages reads a large prefix page by page, all at one revision.
func ExampleClient_Pages() {
	ctx := context.Background()
	for i := range 5 {
		if _, err := client.Put(ctx, fmt.Sprintf("pages/%d", i), nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	for page, err := range client.Pages(ctx, "pages/", 2, gateway.Prefix()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, kv := range page.KVs {
			fmt.Print(kv.Key, " ")
		}
		fmt.Println("and more:", page.More)
	}
	// Output:
	// pages/0 pages/1 and more: true
	// pages/2 pages/3 and more: true
	// pages/4 and more: false
}

// PutSequential creates keys in the order of the writes, as POST did in etcd v2.
func ExampleClient_PutSequential() {
	ctx := context.Background()
	for _, word := range []string{"first", "second"} {
		if _, _, err := client.PutSequential(ctx, "log", []byte(word)); err != nil {
			fmt.Println(err)
			return
		}
	}
	resp, err := client.Get(ctx, "log/", gateway.Prefix())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range resp.KVs {
		fmt.Printf("%s\n", kv.Value)
	}
	// Output:
	// first
	// second
}

// A grant with an ID of the caller's choice can be repeated when its answer is lost.
func ExampleClient_Grant() {
	ctx := context.Background()
	grant, err := client.Grant(ctx, gateway.NewLeaseID(), 30*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Put(ctx, "presence/me", nil, gateway.WithLease(grant.ID)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Revoke(ctx, grant.ID))
	resp, err := client.Get(ctx, "presence/me")
	fmt.Println(resp.Count, err)
	// Output:
	// <nil>
	// 0 <nil>
}

// SnapshotToFile makes a backup that etcdutl restores. The file is complete, checked and synced, or
// there is an error and no file.
func ExampleMemberClient_SnapshotToFile() {
	ctx := context.Background()
	info, err := client.Member("").SnapshotToFile(ctx, "/var/backups/etcd.db")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Size, "bytes, for etcdutl", info.Version)
}
