// Scheduler lets one of two instances write the plan. When the leader loses its leadership without
// noticing, the other takes over, and etcd refuses later writes of the first.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
)

func main() { local.Main(story) }

func story(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	leads, refused := make(chan *election.Term), make(chan struct{})
	instance := func(ctx context.Context, i int) error {
		name := []string{"anna", "bert"}[i]
		err := election.Run(ctx, client, nil, "scheduler", name, func(ctx context.Context, term *election.Term) error {
			write := gateway.Txn{Then: []gateway.Op{gateway.OpPut("plan", []byte("by "+name))}}
			if _, err := term.Txn(ctx, write); err != nil {
				return err
			}
			leads <- term
			<-ctx.Done() // plans until the leadership is lost or the program ends
			if errors.Is(context.Cause(ctx), errEnd) {
				return nil
			}
			// This is the write of an instance that was paused and does not know of its loss. The
			// guard works in transactions of any client.
			write.If = []gateway.Cmp{term.Guard()}
			late, err := client.Txn(context.WithoutCancel(ctx), write)
			if err == nil {
				fmt.Println("a late write of the first leader is applied:", late.Succeeded)
				close(refused)
			}
			return err
		})
		if errors.Is(context.Cause(ctx), errEnd) {
			return nil
		}
		return err
	}
	go func() {
		first := <-leads
		// An operator or a long pause has the same effect.
		lease, err := client.Get(ctx, first.Key())
		if err == nil {
			err = client.Revoke(ctx, lease.KVs[0].Lease)
		}
		second := <-leads
		fmt.Println("somebody else leads, with a greater fence:", second.Fence() > first.Fence(), err)
		<-refused
		stop(errEnd)
	}()
	return local.Together(ctx, 2, instance)
}

var errEnd = errors.New("the end")
