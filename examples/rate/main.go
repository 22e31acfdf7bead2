// Rate limits the calls of a fleet in a time window. Each call needs a permit and holds it for the
// whole window.
package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

const (
	limit  = 2
	window = 200 * time.Millisecond
)

func main() { local.Main(fleet) }

func fleet(ctx context.Context, cfg gateway.Config) error {
	var mu sync.Mutex
	var calls []time.Time
	err := local.Together(ctx, 4, func(ctx context.Context, _ int) error {
		client, err := gateway.New(cfg)
		if err != nil {
			return err
		}
		defer client.Close()
		return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
			for range 2 {
				err := limited(ctx, s, func() {
					mu.Lock()
					defer mu.Unlock()
					calls = append(calls, time.Now())
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	slices.SortFunc(calls, time.Time.Compare)
	tooSoon := 0
	for i := limit; i < len(calls); i++ {
		if calls[i].Sub(calls[i-limit]) < window {
			tooSoon++
		}
	}
	fmt.Printf("%d calls, %d of them too soon\n", len(calls), tooSoon)
	return err
}

// limited makes one call. If this process dies, its permit is released when its lease expires, 15 s
// later. That makes the rate lower, never higher.
func limited(ctx context.Context, s *session.Session, call func()) error {
	calls := semaphore.New(s, "calls-to-the-weather-service", limit, nil)
	return calls.Do(ctx, 1, func(ctx context.Context, _ *semaphore.Permit) error {
		call()
		select {
		case <-time.After(window):
		case <-ctx.Done():
		}
		return ctx.Err()
	})
}
