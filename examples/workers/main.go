// Workers take tasks from a queue. One task fails at first and works when it is tried again; one cannot be done at all,
// and is put aside after three attempts, until somebody has mended what was wrong.
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
	return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		q := queue.New(s, "tasks", &queue.Options{MaxAttempts: 3})
		if _, err := q.EnqueueAll(ctx, [][]byte{[]byte("plain"), []byte("shaky"), []byte("broken")}, nil); err != nil {
			return err
		}
		pool, stop := context.WithCancel(ctx)
		defer stop()
		var mended atomic.Bool
		var done atomic.Int32
		work := func(ctx context.Context, m *queue.Message) error {
			task := string(m.Value)
			if task == "broken" && !mended.Load() || task == "shaky" && m.Attempt == 1 {
				fmt.Printf("%s: attempt %d failed\n", task, m.Attempt)
				return m.Nack(ctx, 50*time.Millisecond) // to return an error does the same, after a second or more
			}
			fmt.Printf("%s: attempt %d worked\n", task, m.Attempt)
			if done.Add(1) == 3 {
				stop()
			}
			// The result, and that the task is done, are one transaction: there is never one without the other.
			return m.AckWith(ctx, gateway.OpPut("results/"+task, []byte("done")))
		}
		return local.Together(ctx, 2, func(ctx context.Context, i int) error {
			if i == 0 {
				return mend(ctx, q, &mended)
			}
			if err := q.Consume(pool, 4, work); ctx.Err() != nil || done.Load() < 3 {
				return err
			}
			return nil
		})
	})
}

// mend waits for something to be put aside, and puts it back when it can be done.
func mend(ctx context.Context, q *queue.Queue, mended *atomic.Bool) error {
	for {
		for dead, err := range q.DeadLetters(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("%s: put aside after %d attempts\n", dead.Value, dead.Attempts)
			mended.Store(true)
			_, err := q.Redrive(ctx, dead.ID)
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
