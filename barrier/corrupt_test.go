package barrier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestACorruptSettingIsAnErrorThatNamesItsKey: calls return an error that names the key when a
// setting has a value that this library does not write, after a few requests. The key does not
// change.
func TestACorruptSettingIsAnErrorThatNamesItsKey(t *testing.T) {
	t.Parallel()
	verbs := map[string]func(ctx context.Context, s *session.Session) error{
		"Enter": func(ctx context.Context, s *session.Session) error {
			_, err := barrier.NewDouble(s, "a", 1).Enter(ctx)
			return err
		},
		"Await": func(ctx context.Context, s *session.Session) error {
			_, err := barrier.NewCyclic(s, "a", 1).Await(ctx)
			return err
		},
		"Reset": func(ctx context.Context, s *session.Session) error {
			return barrier.NewCyclic(s, "a", 1).Reset(ctx)
		},
		"CountDown": func(ctx context.Context, s *session.Session) error {
			return barrier.NewLatch(s, "a", 1).CountDown(ctx)
		},
		"Count": func(ctx context.Context, s *session.Session) error {
			_, err := barrier.NewLatch(s, "a", 1).Count(ctx)
			return err
		},
		"Wait": func(ctx context.Context, s *session.Session) error {
			return barrier.NewLatch(s, "a", 1).Wait(ctx)
		},
		"Inspect": func(ctx context.Context, s *session.Session) error {
			_, err := barrier.NewDouble(s, "a", 1).Inspect(ctx)
			return err
		},
	}
	parties := []string{
		"", " ", "garbage", "double", "latch 0", "double -3",
		"latch 99999999999999999999", `{"kind":"latch","n":1}`, "\xff\x00",
	}
	rounds := []string{
		"", "garbage", "0 []", "0000000000000000001 {}", `0000000000000000001 [{"round":"1"}]`,
		"0000000000000000001 null",
		`0000000000000000001 [{"round":1,"first":9,"last":1}]`,
		`9000000000000000000 [{"round":1,"first":1,"last":9000000000000000000}]`,
	}
	type place struct {
		key    string
		values []string
		verbs  []string
		broken error
	}
	for _, p := range []place{
		{
			"a//parties", parties,
			[]string{"Enter", "Await", "Reset", "CountDown", "Count", "Wait", "Inspect"},
			barrier.ErrConfigMismatch,
		},
		{"a//rounds", rounds, []string{"Enter", "Await", "Reset", "Inspect"}, session.ErrCorrupt},
	} {
		for _, value := range p.values {
			for _, verb := range p.verbs {
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					s := bubble.Session(t, etcd)
					etcd.Put(p.key, value)
					calls := bubble.Count(etcd)
					err := verbs[verb](bubble.Within(t, 10*time.Second), s)
					if !errors.Is(err, session.ErrCorrupt) || !errors.Is(err, p.broken) ||
						!strings.Contains(err.Error(), p.key) || calls.Load() > 10 {
						t.Errorf("%s of %q = %v after %d requests", verb, value, err, calls.Load())
					}
					if kv, ok := etcd.Get(p.key); !ok || string(kv.Value) != value {
						t.Errorf("%s of %q: the key has changed", verb, value)
					}
				})
			}
		}
	}
}
