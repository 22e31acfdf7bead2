package semaphore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestACorruptSettingIsAnErrorThatNamesItsKey: calls return an error that names the key when a
// limit is not a number, after a few requests. The key does not change until a Resize.
func TestACorruptSettingIsAnErrorThatNamesItsKey(t *testing.T) {
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
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					m := semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
					release(t, acquire(t, m, 1)) // declares it
					etcd.Put(key, value)
					calls := bubble.Count(etcd)
					err := verbs[verb](bubble.Within(t, 10*time.Second), m)
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
