// Package explain_test tests Explain with all recipes.
package explain_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	call    = func(context.Context, *session.Session) error
	explain = func(context.Context, *session.Session) (*session.Explanation, error)
)

// blocked are calls that block behind the ones of a holder, and the answers of Explain.
var blocked = map[string]struct {
	holder, waiter call
	explain        explain
	answers        []string
}{
	"mutex": {
		lock, lock,
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return mutex.New(s, "a", nil).Explain(ctx)
		},
		[]string{"held by me", "has to be released; it renewed its lease"},
	},
	"readers behind a writer": {
		func(ctx context.Context, s *session.Session) error {
			_, err := mutex.NewRWMutex(s, "a", nil).Lock(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) error {
			_, err := mutex.NewRWMutex(s, "a", nil).RLock(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return mutex.NewRWMutex(s, "a", nil).Explain(ctx)
		},
		[]string{"held by me", "has to be released"},
	},
	"all of two locks": {
		func(ctx context.Context, s *session.Session) error {
			if err := lock(ctx, s); err != nil {
				return err
			}
			_, err := mutex.New(s, "b", nil).Lock(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) error {
			_, err := mutex.LockAll(ctx, s, "a", "b", "c")
			return err
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return mutex.ExplainAll(ctx, s, "a", "b", "c")
		},
		[]string{"a/", "b/", "held by me"},
	},
	"election": {
		campaign, campaign,
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return election.New(s, "a", nil).Explain(ctx)
		},
		[]string{"held by me", "has to be released"},
	},
	"semaphore": {
		acquire, acquire,
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return semaphore.New(s, "a", 3, nil).Explain(ctx)
		},
		[]string{"2 of 3 units are in use", "needs 2 units, and 1 are free"},
	},
	"barrier": {
		func(ctx context.Context, s *session.Session) error {
			_, err := barrier.New(s, "a").Hold(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) error {
			return barrier.Wait(ctx, s.Client(), "a")
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return barrier.New(s, "a").Explain(ctx)
		},
		[]string{"held by me", "has to be released"},
	},
	"double barrier": {
		nothing,
		func(ctx context.Context, s *session.Session) error {
			_, err := barrier.NewDouble(s, "a", 3).Enter(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return barrier.NewDouble(s, "a", 3).Explain(ctx)
		},
		[]string{"2 more have to come"},
	},
	"cyclic barrier": {
		nothing,
		func(ctx context.Context, s *session.Session) error {
			_, err := barrier.NewCyclic(s, "a", 2).Await(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return barrier.NewCyclic(s, "a", 2).Explain(ctx)
		},
		[]string{"1 more have to come"},
	},
	"latch": {
		nothing,
		func(ctx context.Context, s *session.Session) error {
			return barrier.WaitLatch(ctx, s.Client(), "a", 2)
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return barrier.NewLatch(s, "a", 2).Explain(ctx)
		},
		[]string{"has to be counted down 2 times"},
	},
	"once": {
		do, do,
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return once.New(s, "a", nil).Explain(ctx)
		},
		[]string{"held by me"},
	},
	"queue": {
		func(ctx context.Context, s *session.Session) error {
			q := queue.New(s, "a", nil)
			if _, err := q.Enqueue(ctx, nil, nil); err != nil {
				return err
			}
			return q.Pause(ctx)
		},
		func(ctx context.Context, s *session.Session) error {
			_, err := queue.New(s, "a", nil).Receive(ctx)
			return err
		},
		func(ctx context.Context, s *session.Session) (*session.Explanation, error) {
			return queue.New(s, "a", nil).Explain(ctx)
		},
		[]string{"the queue is paused and has to be resumed"},
	},
}

func nothing(context.Context, *session.Session) error { return nil }

func lock(ctx context.Context, s *session.Session) error {
	_, err := mutex.New(s, "a", nil).Lock(ctx)
	return err
}

func campaign(ctx context.Context, s *session.Session) error {
	_, err := election.New(s, "a", nil).Campaign(ctx, s.Lease().String())
	return err
}

func acquire(ctx context.Context, s *session.Session) error {
	_, err := semaphore.New(s, "a", 3, nil).Acquire(ctx, 2)
	return err
}

// do runs until its context ends.
func do(ctx context.Context, s *session.Session) error {
	_, err := once.New(s, "a", nil).Do(ctx,
		func(ctx context.Context, _ *once.Run) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
	return err
}

// TestABlockedCallSendsNothingAndIsExplained: a call of each kind sends no request for keys while
// it is blocked, and Explain finds the reason in a few requests.
func TestABlockedCallSendsNothingAndIsExplained(t *testing.T) {
	t.Parallel()
	for name, row := range blocked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				ctx, cancel := context.WithCancel(t.Context())
				a, b := bubble.Session(t, etcd), bubble.Session(t, etcd)
				held, done := make(chan error, 1), make(chan error, 1)
				go func() { held <- row.holder(ctx, a) }() // once runs until the end
				synctest.Wait()
				go func() { done <- row.waiter(ctx, b) }()
				time.Sleep(10 * time.Second) // until all watches stand
				requests := bubble.Count(etcd)
				time.Sleep(time.Minute)
				if n := requests.Load(); n > 0 {
					t.Errorf("%d requests while blocked", n)
				}
				if len(done) > 0 {
					t.Fatalf("it did not wait: %v", <-done)
				}
				e, err := row.explain(ctx, b)
				if err != nil {
					t.Fatal(err)
				}
				if n := requests.Load(); n > 3 {
					t.Errorf("Explain sent %d requests for keys", n)
				}
				for _, want := range row.answers {
					if text := e.String(); !strings.Contains(text, want) {
						t.Errorf("%q does not contain %q", text, want)
					}
				}
				cancel()
				_, _ = <-done, <-held
				synctest.Wait()
			})
		})
	}
}

// TestExplainOfSeveralLocks: Explain of a LockAll has the needs of all its names, and adds up the
// waiters ahead.
func TestExplainOfSeveralLocks(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		holder, first, second := bubble.Session(t, etcd), bubble.Session(t, etcd),
			bubble.Session(t, etcd)
		if _, err := mutex.LockAll(ctx, holder, "a", "b"); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*session.Session{first, second} {
			go func() { _, _ = mutex.LockAll(ctx, s, "b", "a") }()
			synctest.Wait()
		}
		e, err := mutex.ExplainAll(ctx, second, "b", "a")
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Holders) != 2 || e.Ahead != 2 || len(e.Needs) != 4 ||
			!strings.HasPrefix(e.Key, "b/"+second.Lease().String()) {
			t.Errorf("%+v", e)
		}
		if e, err := mutex.ExplainAll(ctx, second, "c"); err != nil || e.String() != "free" {
			t.Errorf("free: %v, %v", e, err)
		}
		for what, names := range map[string][]string{
			"none": nil, "twice": {"a", "a"}, "not allowed": {"a", "b//c"},
		} {
			if _, err := mutex.ExplainAll(ctx, second, names...); err == nil {
				t.Errorf("%s: no error", what)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// TestAResultNeedsNothing: once has nothing to wait for when there is a result.
func TestAResultNeedsNothing(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), "a", nil)
		if _, err := o.Do(t.Context(), func(context.Context, *once.Run) ([]byte, error) {
			return []byte("x"), nil
		}); err != nil {
			t.Fatal(err)
		}
		etcd.Put("a/another", "") // it has not seen the result yet
		if e, err := o.Explain(t.Context()); err != nil || e.String() != "free" ||
			len(e.Holders) > 0 || e.Revision == 0 {
			t.Errorf("%+v, %v", e, err)
		}
	})
}
