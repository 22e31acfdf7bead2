// Cron runs a job once a night, on the first of three replicas that acquires the lock. The others
// see that the job is done.
package main

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func main() { local.Main(replicas) }

func replicas(ctx context.Context, cfg gateway.Config) error {
	return local.Together(ctx, 3, func(ctx context.Context, _ int) error {
		client, err := gateway.New(cfg)
		if err != nil {
			return err
		}
		defer client.Close()
		// The nights on which cron starts it.
		for _, night := range []string{"2026-11-20", "2026-11-21"} {
			if err := nightly(ctx, client, night); err != nil {
				return err
			}
		}
		return nil
	})
}

func nightly(ctx context.Context, client *gateway.Client, night string) error {
	return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		job := mutex.New(s, "jobs/nightly", nil)
		return job.Do(ctx, func(ctx context.Context, lock *mutex.Lock) error {
			if done, err := client.Get(ctx, "reports/"+night); err != nil || done.Count > 0 {
				return err
			}
			report := build(ctx, night) // ctx ends before the lease can expire
			put := gateway.OpPut("reports/"+night, report)
			_, err := lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
			// A late write is refused. If the session was lost, Run calls the function again.
			return err
		})
	})
}

func build(_ context.Context, night string) []byte {
	fmt.Println("building the report of", night)
	return []byte("all is well")
}
