package inspect

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestKeysOfTheRecipes: the keys that the recipes write have the forms of keys.go.
func TestKeysOfTheRecipes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeetcd.Start(t).Client(t)
		s, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(context.Background()) }()
		for recipe, tt := range map[string]struct {
			use     func(ctx context.Context, name string) error
			members int
			setting string
		}{
			Lock: {func(ctx context.Context, name string) error {
				_, err := mutex.NewRWMutex(s, name, nil).RLock(ctx)
				return err
			}, 1, ""},
			Election: {func(ctx context.Context, name string) error {
				_, err := election.New(s, name, nil).Campaign(ctx, "me")
				return err
			}, 1, ""},
			Semaphore: {func(ctx context.Context, name string) error {
				_, err := semaphore.New(s, name, 2, nil).Acquire(ctx, 1)
				return err
			}, 1, "size"},
			Barrier: {func(ctx context.Context, name string) error {
				return barrier.New(s, name).Raise(ctx)
			}, 0, "raised"},
			Latch: {func(ctx context.Context, name string) error {
				return barrier.NewLatch(s, name, 2).CountDown(ctx)
			}, 0, "parties"},
			Queue: {func(ctx context.Context, name string) error {
				q := queue.New(s, name, nil)
				if _, err := q.Enqueue(ctx, []byte("x"), nil); err != nil {
					return err
				}
				_, err := q.Receive(ctx)
				return err
			}, 1, "tail"},
			Once: {func(ctx context.Context, name string) error {
				run := func(ctx context.Context, _ *once.Run) ([]byte, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				go func() { _, _ = once.New(s, name, nil).Do(ctx, run) }()
				synctest.Wait()
				return nil
			}, 1, "attempts"},
			Limiter: {func(ctx context.Context, name string) error {
				rate := limit.Rate{Tokens: 10, Per: time.Second}
				_, err := limit.New(s, name, rate, nil).Allow(ctx, 1)
				return err
			}, 1, "bucket"},
		} {
			if err := tt.use(t.Context(), recipe); err != nil {
				t.Fatal(recipe, err)
			}
			p, err := One(t.Context(), c, recipe)
			if err != nil || p.Recipe != recipe || len(p.Members) != tt.members {
				t.Errorf("%s: %+v, %v", recipe, p, err)
				continue
			}
			if tt.setting != "" && !p.has(tt.setting) {
				t.Errorf("%s: no setting %s in %v", recipe, tt.setting, p.Settings)
			}
			for _, m := range p.Members {
				if !m.Holds || m.Lease != s.Lease() || m.Under != s.Lease() || m.Session == nil {
					t.Errorf("%s: %+v", recipe, m)
				}
			}
		}
	})
}
