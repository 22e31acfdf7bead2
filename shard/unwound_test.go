package shard_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/shard"
)

// TestAFunctionThatEndsItsGoroutineEndsItsHold: nothing would serve the shard otherwise, and no
// other member could.
func TestAFunctionThatEndsItsGoroutineEndsItsHold(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		c := etcd.Client(t)
		err := shard.Run(ctx, c, group, 2, func(ctx context.Context, s *shard.Shard) error {
			if s.Number() == 1 {
				runtime.Goexit()
			}
			<-ctx.Done()
			return nil
		}, nil)
		if ctx.Err() != nil || err == nil {
			t.Errorf("Run = %v, and its context has ended: %v", err, ctx.Err() != nil)
		}
		if keys := etcd.Keys(group + "//shards/"); len(keys) != 0 {
			t.Errorf("left %q", keys)
		}
	})
}
