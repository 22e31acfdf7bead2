package semaphore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

func TestABadArgumentIsRejected(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		rev := etcd.Revision()
		for _, tt := range []struct{ limit, n int }{
			{0, 1},
			{-1, 1},
			{3, 0},
			{3, -1},
			{3, 4},
			{0, 0},
		} {
			m := semaphore.New(s, "a", tt.limit, nil)
			for verb, call := range map[string]func() error{
				"Acquire": func() error { _, err := m.Acquire(t.Context(), tt.n); return err },
				"TryAcquire": func() error {
					_, err := m.TryAcquire(t.Context(), tt.n)
					return err
				},
				"Do": func() error { return m.Do(t.Context(), tt.n, nil) },
			} {
				if err := call(); !errors.Is(err, gateway.ErrInvalid) {
					t.Errorf("%s of %d of %d = %v", verb, tt.n, tt.limit, err)
				}
			}
		}
		for _, tt := range []struct {
			name       string
			limit, new int
		}{{"a", 3, 0}, {"a", 3, -1}, {"a", 0, 1}, {"", 3, 1}, {"holdfast/sessions", 3, 1}} {
			if err := semaphore.New(s, tt.name, tt.limit, nil).Resize(t.Context(),
				tt.new); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("Resize %q of %d to %d = %v", tt.name, tt.limit, tt.new, err)
			}
		}
		if _, err := semaphore.New(s, "", 3, nil).Acquire(t.Context(), 1); !errors.Is(err,
			gateway.ErrInvalid) {
			t.Errorf("without a name: %v", err)
		}
		if etcd.Revision() != rev {
			t.Error("something was written")
		}
	})
}

// TestEachWriteCountsOnceWhileAnswersAreLost loses the answer to each transaction of a first
// Acquire, TryAcquire and Resize, applied or not, and applies a late copy.
func TestEachWriteCountsOnceWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	for verb, call := range map[string]func(ctx context.Context,
		m *semaphore.Semaphore) (*semaphore.Permit, error){
		"Acquire": func(ctx context.Context, m *semaphore.Semaphore) (*semaphore.Permit, error) {
			return m.Acquire(ctx, 2)
		},
		"TryAcquire": func(ctx context.Context, m *semaphore.Semaphore) (*semaphore.Permit, error) {
			return m.TryAcquire(ctx, 2)
		},
		"Resize": func(ctx context.Context, m *semaphore.Semaphore) (*semaphore.Permit, error) {
			if err := m.Resize(ctx, 2); err != nil {
				return nil, err
			}
			return m.Acquire(ctx, 2)
		},
	} {
		for lost := 1; lost <= 8; lost++ {
			for _, applied := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/applied=%v", verb, lost, applied), func(t *testing.T) {
					t.Parallel()
					bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
						s := bubble.Session(t, etcd)
						m := semaphore.New(s, "a", 3, nil)
						n := 0
						var late *fakeetcd.Call
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
							if c.Path != "/kv/txn" {
								return c.Apply()
							}
							if n++; n != lost {
								return c.Apply()
							}
							late = c
							if applied {
								c.Apply()
							}
							return fakeetcd.Lost
						})
						p, err := call(t.Context(), m)
						if err != nil {
							t.Fatal(err)
						}
						if kv, _ := etcd.Get(p.Key()); kv.CreateRevision != p.Fence() ||
							string(kv.Value) != "2" {
							t.Errorf("fence %d, key %+v", p.Fence(), kv)
						}
						release(t, p)
						if late != nil {
							late.Apply()
						}
						keys := etcd.Keys("a/")
						if !slices.Equal(keys, []string{"a//limit", "a//size"}) {
							t.Errorf("left: %v", keys)
						}
						want := "3"
						if verb == "Resize" {
							want = "2"
						}
						if kv, _ := etcd.Get("a//size"); string(kv.Value) != want {
							t.Errorf("size = %s", kv.Value)
						}
					})
				})
			}
		}
	}
}

// TestResizeIsAppliedOnce: a Resize whose answer was lost does not overwrite a later one.
func TestResizeIsAppliedOnce(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
		release(t, acquire(t, m, 1))
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.N > 1 {
				return c.Apply()
			}
			c.Apply()
			etcd.Put("a//size", "7") // another Resize, before the second try
			return fakeetcd.Lost
		})
		if err := m.Resize(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if kv, _ := etcd.Get("a//size"); string(kv.Value) != "7" {
			t.Errorf("size = %s", kv.Value)
		}
	})
}

// TestOneOfTwoDeclarationsAtOnceCounts: another process declares between the read and the write.
func TestOneOfTwoDeclarationsAtOnceCounts(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"3", "4"} {
		for _, verb := range []string{"Acquire", "TryAcquire", "Resize"} {
			t.Run(verb+"/"+other, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					m := semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
					n := 0
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.Path == "/kv/txn" {
							if n++; n == 2 {
								etcd.Put("a//limit", other)
								etcd.Put("a//size", other)
							}
						}
						return c.Apply()
					})
					err := map[string]func() error{
						"Acquire": func() error {
							_, err := m.Acquire(t.Context(), 3)
							return err
						},
						"TryAcquire": func() error {
							_, err := m.TryAcquire(t.Context(), 3)
							return err
						},
						"Resize": func() error { return m.Resize(t.Context(), 2) },
					}[verb]()
					if other == "3" && err != nil || other == "4" &&
						!errors.Is(err, semaphore.ErrLimitMismatch) {
						t.Errorf("= %v", err)
					}
					if err != nil && (!strings.Contains(err.Error(), "declared as 4") ||
						!strings.Contains(err.Error(), "here as 3")) {
						t.Errorf("%q does not name both", err)
					}
				})
			})
		}
	}
}

// TestWaitersDeclareAgainAfterTheSettingsAreDeleted: waiters declare again after an operator has
// deleted one or both of the settings.
func TestWaitersDeclareAgainAfterTheSettingsAreDeleted(t *testing.T) {
	t.Parallel()
	for _, gone := range [][]string{
		{"a//size"},
		{"a//limit", "a//size"},
		{"a//size", "a//limit"},
		{"a//limit"},
	} {
		t.Run(strings.Join(gone, " "), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				m := semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
				held := acquire(t, m, 3)
				done := make(chan struct{})
				for range 2 {
					go func() {
						release(t, acquire(t, m, 2))
						done <- struct{}{}
					}()
				}
				synctest.Wait()
				for _, key := range gone {
					etcd.Delete(key)
					synctest.Wait()
				}
				release(t, held)
				<-done
				<-done
				if _, err := m.TryAcquire(t.Context(), 3); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTryAcquireCountsAllMembers: TryAcquire reads the settings and counts all members, also of a
// long line.
func TestTryAcquireCountsAllMembers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := semaphore.New(bubble.Session(t, etcd), "a", 10, nil)
		for i := range 9 { // older than the settings
			etcd.Put(fmt.Sprintf("a/%d", i), "1")
		}
		last, err := m.TryAcquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		etcd.Put("a/w", "10")
		rev := etcd.Revision()
		_, err = m.TryAcquire(t.Context(), 5)
		var full *semaphore.FullError
		if !errors.As(err, &full) ||
			*full != (semaphore.FullError{Name: "a", Limit: 10, Used: 10, Waiting: 1}) ||
			!errors.Is(err, semaphore.ErrFull) {
			t.Errorf("TryAcquire = %v", err)
		}
		release(t, last)
		if _, err := m.TryAcquire(t.Context(), 1); !errors.Is(err, semaphore.ErrFull) {
			t.Errorf("past a waiter: %v", err)
		}
		if etcd.Revision() != rev+1 {
			t.Error("a failed try leaves a trace")
		}
	})
}

// TestAMismatchCostsOneRequest: a call that returns ErrLimitMismatch sends one request.
func TestAMismatchCostsOneRequest(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		release(t, acquire(t, semaphore.New(s, "a", 3, nil), 1))
		for _, m := range []*semaphore.Semaphore{semaphore.New(s, "a", 4, nil)} {
			requests := bubble.Count(etcd)
			_, err := m.TryAcquire(t.Context(), 1)
			if n := requests.Swap(0); !errors.Is(err, semaphore.ErrLimitMismatch) || n != 1 {
				t.Errorf("TryAcquire = %v after %d requests", err, n)
			}
			_, err = m.Acquire(t.Context(), 1)
			if n := requests.Load(); !errors.Is(err, semaphore.ErrLimitMismatch) || n != 1 {
				t.Errorf("Acquire = %v after %d requests", err, n)
			}
		}
	})
}

func TestTheResultOfDoDependsOnTheEndOfThePermit(t *testing.T) {
	t.Parallel()
	own := errors.New("an error of fn")
	for _, tt := range []struct {
		name string
		fn   func(ctx context.Context, etcd *fakeetcd.Server, s *session.Session,
			p *semaphore.Permit) error
		want []error // all of them
	}{
		{"nil", func(context.Context, *fakeetcd.Server, *session.Session, *semaphore.Permit) error {
			return nil
		}, nil},
		{"error", func(context.Context, *fakeetcd.Server, *session.Session,
			*semaphore.Permit,
		) error {
			return own
		}, []error{own}},
		{"released by fn", func(ctx context.Context, _ *fakeetcd.Server, _ *session.Session,
			p *semaphore.Permit,
		) error {
			return errors.Join(p.Release(ctx), ctx.Err())
		}, nil},
		{"session lost", func(ctx context.Context, etcd *fakeetcd.Server, s *session.Session,
			_ *semaphore.Permit,
		) error {
			etcd.Revoke(s.Lease())
			<-ctx.Done()
			return errors.Join(own, context.Cause(ctx))
		}, []error{own, session.ErrLost, session.ErrRevoked, session.ErrNotHeld}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				err := semaphore.New(s, "a", 3, nil).Do(t.Context(), 2,
					func(ctx context.Context, p *semaphore.Permit) error {
						if p.Weight() != 2 || p.Err() != nil || ctx.Err() != nil {
							t.Errorf("permit of %d: %v, %v", p.Weight(), p.Err(), ctx.Err())
						}
						return tt.fn(ctx, etcd, s, p)
					})
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("%v is not %v", err, want)
					}
				}
				if len(tt.want) == 0 && err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestDoReleasesWhenFnDoesNotReturn: Do releases the permit also when fn does not return.
func TestDoReleasesWhenFnDoesNotReturn(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				m := semaphore.New(bubble.Session(t, etcd), "a", 1, nil)
				fakeetcd.Unwound(func() {
					_ = m.Do(t.Context(), 1, func(context.Context, *semaphore.Permit) error {
						unwind()
						return nil
					})
				})
				release(t, acquire(t, m, 1))
			})
		})
	}
}

// TestDoReleasesThePermitAfterARefusedRelease: Do releases the permit also when etcd rejected the
// first Release.
func TestDoReleasesThePermitAfterARefusedRelease(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := semaphore.New(bubble.Session(t, etcd), "a", 1, nil)
		err := m.Do(t.Context(), 1, func(context.Context, *semaphore.Permit) error {
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.N == 1 {
					return fakeetcd.Denied()
				}
				return c.Apply()
			})
			return nil
		})
		if !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Acquire(ctx, 1); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}
