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

// scheduler is the story: the leader is removed, and writes once more.
type scheduler struct {
	client  *gateway.Client
	leads   chan *election.Term // of each new leader
	refused chan struct{}       // closed when the late write was answered
}

var errEnd = errors.New("the end")

func story(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	s := &scheduler{
		client: client, leads: make(chan *election.Term), refused: make(chan struct{}),
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		s.remove(ctx)
		end(errEnd)
	}()
	return local.Together(ctx, 2, func(ctx context.Context, i int) error {
		name := []string{"anna", "bert"}[i]
		err := election.Run(ctx, client, nil, "scheduler", name,
			func(ctx context.Context, term *election.Term) error { return s.lead(ctx, term, name) })
		if errors.Is(context.Cause(ctx), errEnd) {
			return nil
		}
		return err
	})
}

// lead writes the plan until the leadership is lost or the example ends.
func (s *scheduler) lead(ctx context.Context, term *election.Term, name string) error {
	write := gateway.Txn{Then: []gateway.Op{gateway.OpPut("plan", []byte("by "+name))}}
	if _, err := term.Txn(ctx, write); err != nil {
		return err
	}
	s.leads <- term
	<-ctx.Done()
	if errors.Is(context.Cause(ctx), errEnd) {
		return nil
	}
	// This is the write of an instance that was paused and does not know of its loss. The guard
	// works in transactions of any client.
	write.If = []gateway.Cmp{term.Guard()}
	late, err := s.client.Txn(context.WithoutCancel(ctx), write)
	if err == nil {
		fmt.Println("a late write of the first leader is applied:", late.Succeeded)
		close(s.refused)
	}
	return err
}

// remove revokes the lease of the first leader, as an operator may, and waits for the second.
func (s *scheduler) remove(ctx context.Context) {
	first := <-s.leads
	key, err := s.client.Get(ctx, first.Key())
	if err == nil {
		err = s.client.Revoke(ctx, key.KVs[0].Lease)
	}
	second := <-s.leads
	fmt.Println("somebody else leads, with a greater fence:",
		second.Fence() > first.Fence(), err)
	<-s.refused
}
