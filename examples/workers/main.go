// Workers processes tasks from a queue. One task fails at first and succeeds at the second attempt.
// Another fails three times and becomes a dead letter, until its cause is removed and it is moved
// back.
package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func main() { local.Main(story) }

func story(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	tasks := []string{"plain", "shaky", "broken"}
	var repaired atomic.Bool
	return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		q := queue.New(s, "tasks", &queue.Options{MaxAttempts: 3})
		for _, task := range tasks { // again after a lost session; the DedupID prevents duplicates
			opts := &queue.EnqueueOptions{DedupID: task}
			if _, err := q.Enqueue(ctx, []byte(task), opts); err != nil {
				return err
			}
		}
		pool, stop := context.WithCancel(ctx)
		defer stop()
		work := func(ctx context.Context, m *queue.Message) error {
			task := string(m.Value)
			if task == "broken" && !repaired.Load() || task == "shaky" && m.Attempt == 1 {
				fmt.Printf("%s: attempt %d failed\n", task, m.Attempt)
				// A returned error has the same effect after a second or more.
				return m.Nack(ctx, 50*time.Millisecond)
			}
			fmt.Printf("%s: attempt %d worked\n", task, m.Attempt)
			// One transaction writes the result and removes the task, so there is never one without
			// the other.
			return m.AckWith(ctx, gateway.OpPut("results/"+task, []byte("done")))
		}
		return local.Together(ctx, 2, func(ctx context.Context, i int) error {
			if i == 0 {
				defer stop()
				return oversee(ctx, client, q, len(tasks), &repaired)
			}
			if err := q.Consume(pool, 4, work); ctx.Err() != nil || pool.Err() == nil {
				return err
			}
			return nil
		})
	})
}

// oversee moves dead letters back to the queue until all tasks have a result.
func oversee(
	ctx context.Context, client *gateway.Client, q *queue.Queue, tasks int, repaired *atomic.Bool,
) error {
	for {
		for dead, err := range q.DeadLetters(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("%s: put aside after %d attempts\n", dead.Value, dead.Attempts)
			repaired.Store(true)
			if _, err := q.Redrive(ctx, dead.ID); err != nil {
				return err
			}
		}
		results, err := client.Get(ctx, "results/", gateway.Prefix(), gateway.CountOnly())
		if err != nil || results.Count == int64(tasks) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
