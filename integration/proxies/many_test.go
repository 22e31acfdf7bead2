package proxies_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestManyWatchesInOneRequestStandSoonThroughProxies: watches that are asked for in one long
// request all stand soon, and get their events, where a proxy keeps its connections to etcd and
// where it does not.
func TestManyWatchesInOneRequestStandSoonThroughProxies(t *testing.T) {
	const watches = 600
	for _, r := range rows {
		if r.mode == shared {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			cfg := r.start(t, r.name).config
			cfg.Namespace = recipetest.Fresh(t)
			c := recipetest.NewClient(t, cfg)
			ctx := recipetest.Within(t, recipetest.Patience)
			first, err := c.Watch(ctx, "first") // finds out how to watch
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			began := time.Now()
			var stood, got sync.WaitGroup
			for i := range watches {
				stood.Add(1)
				got.Add(1)
				stop, err := c.WatchFunc(fmt.Sprintf("%090d", i), func(r gateway.WatchResponse) {
					if r.Created {
						stood.Done()
					}
					for range r.Events {
						got.Done()
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
			}
			stood.Wait()
			all := time.Since(began)
			for i := range watches {
				if _, err := c.Put(ctx, fmt.Sprintf("%090d", i), nil); err != nil {
					t.Fatal(err)
				}
			}
			put := time.Now()
			got.Wait()
			late := time.Since(put)
			recipetest.Figure(t, "%s: %d watches at once stood after %v, the last event came %v "+
				"after its put",
				r.name, watches, ms(all), ms(late))
			if all > 2*time.Second || late > 3*time.Second || modeOf(c) != r.mode {
				t.Errorf("stood after %v, the last event after %v, mode %q", all, late, modeOf(c))
			}
		})
	}
}
