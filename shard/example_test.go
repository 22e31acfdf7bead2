package shard_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

// The examples assume a program that has made a client once.
var client *gateway.Client

// A process serves its part of four shards until it is asked to stop.
func ExampleRun() {
	ctx, stop := context.WithCancel(context.Background())
	started := make(chan int)
	go func() {
		for range 4 {
			<-started
		}
		owner, err := shard.Owner(ctx, client, "tenants", 3)
		fmt.Println("shard 3 is at", owner.Member.Value, err)
		stop() // usually by a signal
	}()
	err := shard.Run(ctx, client, "tenants", 4, func(ctx context.Context, s *shard.Shard) error {
		started <- s.Number()
		<-ctx.Done() // serve the shard until then, and write with s.Txn
		return nil
	}, &shard.Options{Member: member.Options{ID: "worker-0", Value: "10.0.0.7:8080"}})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// shard 3 is at 10.0.0.7:8080 <nil>
	// true
}
