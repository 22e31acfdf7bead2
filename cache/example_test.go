package cache_test

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
)

// The examples assume a program that has made a client once.
var client *gateway.Client

// A program reads its own write from the copy.
func Example() {
	ctx := context.Background()
	config, err := cache.Open(ctx, client, "config/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer config.Close()
	put, err := client.Put(ctx, "config/level", []byte("debug"))
	if err == nil {
		err = config.WaitRevision(ctx, put.Revision)
	}
	kv, ok := config.Get("config/level")
	fmt.Printf("%s, %v, %v\n", kv.Value, ok, err)
	// Output:
	// debug, true, <nil>
}

// A configuration reloads itself.
func ExampleCache_Changes() {
	ctx := context.Background()
	config, err := cache.Open(ctx, client, "reload/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer config.Close()
	changes := config.Changes(ctx)
	if _, err := client.Put(ctx, "reload/level", []byte("info")); err != nil {
		fmt.Println(err)
	}
	for change, err := range changes {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s is %s\n", change.Key, change.New.Value)
		break // a program goes on until ctx ends
	}
	// Output:
	// reload/level is info
}
