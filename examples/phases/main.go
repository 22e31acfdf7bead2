// Phases has three workers go through a batch in step: nobody begins a phase before all have done their part of the last.
package main

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

const workers = 3

func main() { local.Main(batch) }

func batch(ctx context.Context, cfg gateway.Config) error {
	return local.Together(ctx, workers, func(ctx context.Context, worker int) error {
		client, err := gateway.New(cfg)
		if err != nil {
			return err
		}
		defer client.Close()
		return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
			step := barrier.NewCyclic(s, "batch", workers)
			for phase := range 3 {
				if err := part(ctx, client, phase, worker); err != nil {
					return err
				}
				// barrier.ErrBroken if one of the others gives up or dies: nobody waits for it in vain.
				if _, err := step.Await(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// part is what one worker does in one phase: it looks whether what it builds on is there, and writes down that it is done.
func part(ctx context.Context, client *gateway.Client, phase, worker int) error {
	if phase > 0 {
		last, err := client.Get(ctx, fmt.Sprintf("done/%d/", phase-1), gateway.Prefix(), gateway.CountOnly())
		if err != nil {
			return err
		}
		fmt.Printf("phase %d begins with %d parts of phase %d\n", phase, last.Count, phase-1)
	}
	_, err := client.Put(ctx, fmt.Sprintf("done/%d/%d", phase, worker), nil)
	return err
}
