// Limit keeps three processes that call an API below its limit. Each takes tokens in blocks, so
// that most calls need no request to etcd.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

const (
	processes = 3
	calls     = 20 // of each
)

// rate must be the same in all processes.
var rate = limit.Rate{Tokens: 50, Per: time.Second, Burst: 10}

func main() { local.Main(fleet) }

func fleet(ctx context.Context, cfg gateway.Config) error {
	api := &api{}
	begun := time.Now()
	err := local.Together(ctx, processes, func(ctx context.Context, _ int) error {
		client, err := gateway.New(cfg)
		if err != nil {
			return err
		}
		defer client.Close()
		return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) (err error) {
			l := limit.New(s, "weather-api", rate, nil)
			defer func() { err = errors.Join(err, l.Close(ctx)) }() // the rest of the block goes back
			for range calls {
				if err := l.Wait(ctx, 1); err != nil {
					return err
				}
				api.call()
			}
			return nil
		})
	})
	fmt.Printf("%d calls, over the limit: %v\n", len(api.times), api.over(begun))
	return err
}

// api is the service whose limit must not be exceeded.
type api struct {
	mu    sync.Mutex
	times []time.Time
}

func (a *api) call() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Now())
}

// over reports whether more calls were made at any time than the burst, and the rate since begun.
func (a *api) over(begun time.Time) bool {
	slices.SortFunc(a.times, time.Time.Compare)
	for i, t := range a.times {
		if int64(i) >= rate.Burst+int64(t.Sub(begun).Seconds()*float64(rate.Tokens)) {
			return true
		}
	}
	return false
}
