package semaphore_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestCorruptSettings: calls return an error that names the key when a limit is not a number, after
// a few requests. The key does not change until a Resize.
func TestCorruptSettings(t *testing.T) {
	t.Parallel()
	verbs := map[string]func(ctx context.Context, m *semaphore.Semaphore) error{
		"Acquire": func(ctx context.Context, m *semaphore.Semaphore) error {
			_, err := m.Acquire(ctx, 1)
			return err
		},
		"TryAcquire": func(ctx context.Context, m *semaphore.Semaphore) error {
			_, err := m.TryAcquire(ctx, 1)
			return err
		},
		"Inspect": func(ctx context.Context, m *semaphore.Semaphore) error {
			_, err := m.Inspect(ctx)
			return err
		},
		"Resize": func(ctx context.Context, m *semaphore.Semaphore) error {
			return m.Resize(ctx, 2)
		},
	}
	for key, names := range map[string][]string{
		"a//limit": {"Acquire", "TryAcquire", "Resize"},
		"a//size":  {"Acquire", "TryAcquire", "Inspect"},
	} {
		for _, value := range []string{
			"", " ", "garbage", "0", "-3", "+3", "03", "3.0",
			"99999999999999999999", `{"limit":3}`, "\xff",
		} {
			for _, verb := range names {
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					m := semaphore.New(open(t, etcd), "a", 3)
					release(t, acquire(t, m, 1)) // declares it
					etcd.Put(key, value)
					var calls atomic.Int32
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						calls.Add(1)
						return c.Apply()
					})
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					err := verbs[verb](ctx, m)
					if !errors.Is(err, session.ErrCorrupt) || !strings.Contains(err.Error(), key) ||
						calls.Load() > 10 {
						t.Errorf("%s with %s of %q = %v after %d requests", verb, key, value, err,
							calls.Load())
					}
					if kv, ok := etcd.Get(key); !ok || string(kv.Value) != value {
						t.Errorf("%s with %s of %q: the key has changed", verb, key, value)
					}
					if key != "a//size" {
						return
					}
					if err := m.Resize(t.Context(), 2); err != nil {
						t.Fatal(err)
					}
					release(t, acquire(t, m, 2))
				})
			}
		}
	}
}
