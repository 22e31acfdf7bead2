// Phases runs a batch on three workers in phases. No worker begins a phase before all have finished
// the phase before it.
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
				// Await returns barrier.ErrBroken if another worker gives up or dies, so that no
				// worker waits in vain.
				if _, err := step.Await(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// part is the work of one worker in one phase. It counts the results of the phase before, and then
// writes its own.
func part(ctx context.Context, client *gateway.Client, phase, worker int) error {
	if phase > 0 {
		done := fmt.Sprintf("done/%d/", phase-1)
		last, err := client.Get(ctx, done, gateway.Prefix(), gateway.CountOnly())
		if err != nil {
			return err
		}
		fmt.Printf("phase %d begins with %d parts of phase %d\n", phase, last.Count, phase-1)
	}
	_, err := client.Put(ctx, fmt.Sprintf("done/%d/%d", phase, worker), nil)
	return err
}
