package election_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

var errOwn = errors.New("an error of fn")

type world struct {
	etcd   *fakeetcd.Server
	e      *election.Election // of an observer
	cancel context.CancelFunc
	terms  int
}

func (w *world) revoke(ctx context.Context) {
	leader, _ := w.e.Leader(ctx)
	w.etcd.Revoke(leader.Lease)
}

// TestTheResultOfRunDependsOnTheEndOfTheTerm: the result of Run depends on how the term ended, not
// only on the result of fn.
func TestTheResultOfRunDependsOnTheEndOfTheTerm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fn    func(ctx context.Context, w *world, term *election.Term) error
		want  error
		terms int
	}{
		{"nil", func(context.Context, *world, *election.Term) error { return nil }, nil, 1},
		{"error", func(context.Context, *world, *election.Term) error { return errOwn }, errOwn, 1},
		{"resigned by fn", func(ctx context.Context, _ *world, term *election.Term) error {
			return term.Resign(context.WithoutCancel(ctx))
		}, nil, 1},
		{"ctx ends", func(ctx context.Context, w *world, _ *election.Term) error {
			w.cancel()
			<-ctx.Done()
			return ctx.Err()
		}, context.Canceled, 1},
		{"ctx ends, finished", func(ctx context.Context, w *world, _ *election.Term) error {
			w.cancel()
			<-ctx.Done()
			return nil
		}, nil, 1},
		{"session lost", func(ctx context.Context, w *world, _ *election.Term) error {
			if w.terms < 3 {
				w.revoke(ctx)
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), session.ErrRevoked) {
					t.Errorf("cause: %v", context.Cause(ctx))
				}
				return ctx.Err()
			}
			return errOwn
		}, errOwn, 3},
		{"session lost, not minded", func(ctx context.Context, w *world, _ *election.Term) error {
			if w.terms < 3 {
				w.revoke(ctx)
				<-ctx.Done()
			}
			return nil
		}, nil, 3},
		{"removed", func(ctx context.Context, w *world, term *election.Term) error {
			if w.terms < 3 {
				time.Sleep(2 * time.Second)
				w.etcd.Delete(term.Key())
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), session.ErrKeyDeleted) {
					t.Errorf("cause: %v", context.Cause(ctx))
				}
				return ctx.Err()
			}
			return nil
		}, nil, 3},
		{"removed, not noticed", func(_ context.Context, w *world, term *election.Term) error {
			if w.terms < 2 {
				w.etcd.Delete(term.Key())
			}
			return nil
		}, nil, 2},
		{"removed and ctx ends", func(_ context.Context, w *world, term *election.Term) error {
			w.etcd.Delete(term.Key())
			w.cancel()
			return errOwn
		}, errOwn, 1},
		{"lost and ctx ends", func(ctx context.Context, w *world, _ *election.Term) error {
			w.revoke(ctx)
			<-ctx.Done()
			w.cancel()
			return nil
		}, session.ErrLost, 1},
		{"a stranger's loss", func(context.Context, *world, *election.Term) error {
			return errors.Join(session.ErrLost, session.ErrKeyDeleted)
		}, session.ErrKeyDeleted, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				w := &world{etcd: etcd, e: election.New(bubble.Session(t, etcd), "a", nil)}
				var ctx context.Context
				ctx, w.cancel = context.WithCancel(t.Context())
				defer w.cancel()
				var fence int64
				err := election.Run(ctx, etcd.Client(t), nil, "a", "v",
					func(ctx context.Context, term *election.Term) error {
						if err := term.Err(); err != nil || term.Fence() <= fence {
							t.Errorf("term %d: %v, fence %d after %d", w.terms, err, term.Fence(),
								fence)
						}
						fence = term.Fence()
						w.terms++
						return tt.fn(ctx, w, term)
					})
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil || w.terms != tt.terms {
					t.Errorf("Run = %v after %d terms", err, w.terms)
				}
				if keys := etcd.Keys("a/"); len(keys) != 0 {
					t.Errorf("left: %v", keys)
				}
			})
		})
	}
}

// TestTheNextCandidateLeadsAfterFnHasReturned: the next candidate leads after fn has returned, not
// when its context ends.
func TestTheNextCandidateLeadsAfterFnHasReturned(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		var log []string
		first := make(chan error)
		go func() {
			first <- election.Run(ctx, etcd.Client(t), nil, "a", "v",
				func(ctx context.Context, _ *election.Term) error {
					<-ctx.Done()
					time.Sleep(time.Minute)
					log = append(log, "first ends")
					return nil
				})
		}()
		synctest.Wait()
		second := make(chan error)
		go func() {
			second <- election.Run(t.Context(), etcd.Client(t), nil, "a", "v",
				func(context.Context, *election.Term) error {
					log = append(log, "second leads")
					return nil
				})
		}()
		synctest.Wait()
		cancel()
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		if !slices.Equal(log, []string{"first ends", "second leads"}) {
			t.Error(log)
		}
	})
}

// TestACandidateWhoseKeyWasDeletedJoinsAgain: a candidate whose key was deleted joins again.
func TestACandidateWhoseKeyWasDeletedJoinsAgain(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		term := campaign(t, bubble.Session(t, etcd), "one")
		done := make(chan error)
		go func() {
			done <- election.Run(t.Context(), etcd.Client(t), nil, "a", "v",
				func(context.Context, *election.Term) error {
					return errOwn
				})
		}()
		for range 3 {
			synctest.Wait()
			for _, key := range etcd.Keys("a/") {
				if key != term.Key() {
					etcd.Delete(key)
				}
			}
		}
		resign(t, term)
		if err := <-done; !errors.Is(err, errOwn) {
			t.Errorf("Run = %v", err)
		}
	})
}

// TestRunEndsWhatItBeganWhenFnDoesNotReturn: the term ends also when fn does not return, and the
// session may campaign again.
func TestRunEndsWhatItBeganWhenFnDoesNotReturn(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		for name, cut := range map[string]func(etcd *fakeetcd.Server, cancel func()){
			"healthy":   func(*fakeetcd.Server, func()) {},
			"ctx ended": func(_ *fakeetcd.Server, cancel func()) { cancel() },
			"etcd frozen": func(etcd *fakeetcd.Server, _ func()) {
				etcd.Freeze()
				time.AfterFunc(8*time.Second, etcd.Thaw)
			},
			"refused once": func(etcd *fakeetcd.Server, _ func()) {
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.N == 1 {
						return fakeetcd.Denied()
					}
					return c.Apply()
				})
			},
		} {
			t.Run(how+", "+name, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					e := election.New(bubble.Session(t, etcd), "a", nil)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var term *election.Term
					var began time.Time
					value, stack := fakeetcd.Unwound(func() {
						_ = e.Run(ctx, "v", func(_ context.Context, held *election.Term) error {
							term, began = held, time.Now()
							cut(etcd, cancel)
							unwindHere(unwind)
							return nil
						})
					})
					if how == "panic" && (value != "oh" || !strings.Contains(stack, "unwindHere")) {
						t.Errorf("recovered %v at %s", value, stack)
					}
					if took := time.Since(began); took > 6*time.Second {
						t.Errorf("the clean-up took %v", took)
					}
					if !errors.Is(term.Err(), session.ErrReleased) {
						t.Errorf("the term: %v", term.Err())
					}
					again, err := e.Campaign(bubble.Within(t, 20*time.Second), "w")
					if err != nil {
						t.Fatal(err)
					}
					resign(t, again)
				})
			})
		}
	}
}

// unwindHere must appear on the stack.
//
//go:noinline
func unwindHere(unwind func()) { unwind() }

// TestRunClosesItsOwnSessionWhenFnDoesNotReturn: a Run that makes the session also closes it.
func TestRunClosesItsOwnSessionWhenFnDoesNotReturn(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				fakeetcd.Unwound(func() {
					_ = election.Run(t.Context(), etcd.Client(t), nil, "a", "v",
						func(context.Context, *election.Term) error {
							unwind()
							return nil
						})
				})
				if keys := etcd.Keys("a/"); len(keys) != 0 || etcd.Leases() != 0 {
					t.Errorf("left: %v, %d leases", keys, etcd.Leases())
				}
			})
		})
	}
}

// TestRunEndsItsTermAfterARefusedResign: Run ends the term in etcd although its Resign, or the one
// that fn called, was rejected.
func TestRunEndsItsTermAfterARefusedResign(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]func(ctx context.Context, term *election.Term) error{
		"by Run": func(context.Context, *election.Term) error { return nil },
		"by fn":  func(ctx context.Context, term *election.Term) error { return term.Resign(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				err := election.New(s, "a", nil).Run(t.Context(), "v",
					func(ctx context.Context, term *election.Term) error {
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
							if c.N == 1 {
								return fakeetcd.Denied()
							}
							return c.Apply()
						})
						return fn(context.WithoutCancel(ctx), term) // ctx itself ends with the term
					})
				if !errors.Is(err, gateway.ErrPermissionDenied) {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if keys := etcd.Keys("a/"); len(keys) != 0 {
					t.Errorf("a minute later: %v", keys)
				}
			})
		})
	}
}
