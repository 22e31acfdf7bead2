// Cron runs a job at the times of a schedule, each time on one of three replicas. Each time is
// run once, also if replicas crash or their clocks differ.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
)

// nights is the schedule. A night is half a second here. For a job at two o'clock, parse "0 2 * *
// *" with github.com/robfig/cron/v3, and set Options.Spec.
var nights = cron.Every(time.Second / 2)

func main() { local.Main(replicas) }

func replicas(ctx context.Context, cfg gateway.Config) error {
	service, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // a service goes on
		for range 2 {
			select {
			case <-built:
			case <-service.Done():
			}
		}
		stop()
	}()
	err := local.Together(service, 3, func(ctx context.Context, _ int) error {
		client, err := gateway.New(cfg)
		if err != nil {
			return err
		}
		defer client.Close()
		return nightly(ctx, client)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return nil
	}
	return err
}

func nightly(ctx context.Context, client *gateway.Client) error {
	job := cron.New("reports/nightly", nights, nil)
	return job.Run(ctx, client, func(ctx context.Context, tick *cron.Tick) error {
		report := build(ctx, tick.Scheduled()) // ctx ends before the lease can expire
		put := gateway.OpPut("reports/latest", report)
		// The write is applied with the end of the tick, once. A late one is refused. If this
		// replica dies before, another one runs the tick again.
		return tick.Complete(ctx, put)
	})
}

// built receives after each report.
var built = make(chan struct{})

func build(_ context.Context, night time.Time) []byte {
	fmt.Println("building the report of the night, late:", time.Since(night) > time.Minute)
	built <- struct{}{}
	return []byte("all is well")
}
