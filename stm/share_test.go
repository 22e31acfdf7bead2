package stm_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// slowly delays each commit, so that others wait meanwhile and can share the next request. The
// delay is shorter than the time of an attempt, which would be repeated.
func slowly(c *fakeetcd.Call) fakeetcd.Answer {
	if c.IsTxn("/w") { // a receipt
		c.Sleep(gateway.DefaultAttemptTimeout / 2)
	}
	return c.Apply()
}

// duringACommit starts a commit of a key of its own, and runs all functions before it ends.
func duringACommit(t *testing.T, s *session.Session, all ...func(tx *stm.Tx) error) {
	t.Helper()
	var of sync.WaitGroup
	start := func(fn func(tx *stm.Tx) error) {
		of.Go(func() {
			if _, err := stm.Do(t.Context(), s, fn, nil); err != nil {
				t.Error(err)
			}
		})
	}
	start(func(tx *stm.Tx) error { tx.Put("first", nil); return nil })
	time.Sleep(gateway.DefaultAttemptTimeout / 4)
	for _, fn := range all {
		start(fn)
	}
	of.Wait()
}

// TestSharedCommitsHaveNoSkew: of two transactions of one session, each writes a key only if the
// other has not written its key. etcd would apply both if they shared a request.
func TestSharedCommitsHaveNoSkew(t *testing.T) {
	t.Parallel()
	both := func(tx *stm.Tx, own, other string) (bool, error) {
		value, err := tx.Get(other)
		_, ownErr := tx.Get(own)
		return value != nil, errors.Join(err, ownErr)
	}
	for name, seen := range map[string]func(tx *stm.Tx, own, other string) (bool, error){
		"the key of the other": func(tx *stm.Tx, _, other string) (bool, error) {
			value, err := tx.Get(other)
			return value != nil, err
		},
		"both keys": both,
		"a prefix": func(tx *stm.Tx, _, _ string) (bool, error) {
			all, err := tx.Prefix("room/")
			return len(all) > 0, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				etcd.Script(slowly)
				put := func(own, other string) func(tx *stm.Tx) error {
					return func(tx *stm.Tx) error {
						booked, err := seen(tx, own, other)
						if !booked {
							tx.Put(own, []byte("1"))
						}
						return err
					}
				}
				duringACommit(t, bubble.Session(t, etcd), put("room/x", "room/y"), put("room/y", "room/x"))
				if keys := etcd.Keys("room/"); len(keys) != 1 {
					t.Errorf("%q are written", keys)
				}
			})
		})
	}
}

// TestSharedCommitsLoseNothing: transactions of one session that add to few keys, with lost
// answers.
func TestSharedCommitsLoseNothing(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if a := c.Apply(); c.N%5 > 0 {
				return a
			}
			return fakeetcd.Lost
		})
		s := bubble.Session(t, etcd)
		var of sync.WaitGroup
		const goroutines, each, keys = 8, 20, 5
		for g := range goroutines {
			of.Go(func() {
				for i := range each {
					from, to := fmt.Sprint("n/", (g+i)%keys), fmt.Sprint("n/", (g+2*i+1)%keys)
					if _, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
						return errors.Join(add(tx, from, 2), add(tx, to, 1))
					}, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		of.Wait()
		sum := 0
		for _, key := range etcd.Keys("n/") {
			kv, _ := etcd.Get(key)
			n := 0
			if _, err := fmt.Sscan(string(kv.Value), &n); err != nil {
				t.Error(err)
			}
			sum += n
		}
		if sum != 3*goroutines*each {
			t.Errorf("the sum is %d", sum)
		}
	})
}

// TestCommitsShareARequest: small commits of one session that wait together need one request. Those
// that write one key follow each other, and none is sent that another has made void.
func TestCommitsShareARequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys int
		want int64 // requests and revisions: the first commit, and the others
	}{"ten keys": {10, 2}, "one key": {1, 11}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				var commits atomic.Int64
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn("/w") {
						commits.Add(1)
					}
					return slowly(c)
				})
				var all []func(tx *stm.Tx) error
				for i := range 10 {
					key := fmt.Sprint("own/", i%tt.keys)
					all = append(all, func(tx *stm.Tx) error { return add(tx, key, 1) })
				}
				s := bubble.Session(t, etcd)
				before := etcd.Revision()
				duringACommit(t, s, all...)
				if n := etcd.Revision() - before; n != tt.want || commits.Load() != n {
					t.Errorf("%d revisions by %d requests, want %d", n, commits.Load(), tt.want)
				}
				wantKey(t, etcd, "own/0", fmt.Sprint(10/tt.keys))
			})
		})
	}
}

// TestARequestDoesNotWaitForACommitThatWaits: after the answer to a request the next one waits
// briefly for the commits of the same callers, but not for one that must not be part of it.
func TestARequestDoesNotWaitForACommitThatWaits(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var sent []time.Time
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("/w") {
				sent = append(sent, time.Now())
			}
			return slowly(c)
		})
		s := bubble.Session(t, etcd)
		put := func(key string) func(tx *stm.Tx) error {
			return func(tx *stm.Tx) error {
				tx.Put(key, nil)
				return nil
			}
		}
		var of sync.WaitGroup
		for _, own := range []string{"a", "b"} {
			of.Go(func() {
				for _, key := range []string{own, "both"} {
					if _, err := stm.Do(t.Context(), s, put(key), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		of.Wait()
		for i := range len(sent) - 1 {
			if took := sent[i+1].Sub(sent[i]); took != gateway.DefaultAttemptTimeout/2 {
				t.Errorf("request %d was sent %v after the one before", i+1, took)
			}
		}
	})
}

// TestACommitDoesNotWaitLongerThanItsContext: while the answer to a commit is awaited, another one
// that reads its key ends with its context, and has not been applied.
func TestACommitDoesNotWaitLongerThanItsContext(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Script(slowly)
		s := bubble.Session(t, etcd)
		var of sync.WaitGroup
		of.Go(func() {
			one := func(tx *stm.Tx) error { return add(tx, "k", 1) }
			if _, err := stm.Do(t.Context(), s, one, nil); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(gateway.DefaultAttemptTimeout / 4)
		begun := time.Now()
		_, err := stm.Do(bubble.Within(t, time.Millisecond), s, func(tx *stm.Tx) error {
			return add(tx, "k", 1)
		}, nil)
		if err == nil || errors.Is(err, gateway.ErrUncertain) || time.Since(begun) > time.Millisecond {
			t.Errorf("Do = %v after %v", err, time.Since(begun))
		}
		of.Wait()
		wantKey(t, etcd, "k", "1")
	})
}

// TestReadsShareARequest: small reads that wait together need one request. If etcd rejects it, each
// transaction has its own outcome.
func TestReadsShareARequest(t *testing.T) {
	t.Parallel()
	for name, denied := range map[string]bool{"allowed": false, "one is denied": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				const goroutines = 10
				var mu sync.Mutex
				requests := 0
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if !strings.HasPrefix(c.Path, "/kv/") {
						return c.Apply()
					}
					mu.Lock()
					requests++
					mu.Unlock()
					c.Sleep(gateway.DefaultAttemptTimeout / 2)
					if denied && c.IsTxn("k/3") {
						return fakeetcd.Denied()
					}
					return c.Apply()
				})
				for i := range goroutines {
					etcd.Put(fmt.Sprint("k/", i), fmt.Sprint(i))
				}
				var of sync.WaitGroup
				for i := range goroutines {
					of.Go(func() {
						_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
							n, err := number(tx, fmt.Sprint("k/", i))
							if err == nil && n != i {
								t.Errorf("k/%d = %d", i, n)
							}
							return err
						}, nil)
						if wrong := denied && i == 3; errors.Is(err, gateway.ErrPermissionDenied) != wrong ||
							!wrong && err != nil {
							t.Errorf("%d: Do = %v", i, err)
						}
					})
				}
				of.Wait()
				if !denied && requests > 2 {
					t.Errorf("%d requests", requests)
				}
			})
		})
	}
}

// TestAReadIsNeverUncertain: a read that is under way when its context ends leaves no doubt.
func TestAReadIsNeverUncertain(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("k") {
				return c.Silence()
			}
			return c.Apply()
		})
		_, err := stm.Do(bubble.Within(t, time.Second), s, func(tx *stm.Tx) error {
			return add(tx, "k", 1)
		}, nil)
		if err == nil || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Do = %v", err)
		}
	})
}

// TestACommitIsNotOvertaken: a commit that waits for others is the next, also while transactions
// that read its key follow each other without a gap.
func TestACommitIsNotOvertaken(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Script(slowly)
		s := bubble.Session(t, etcd)
		const commit = gateway.DefaultAttemptTimeout / 2
		var of sync.WaitGroup
		ctx := bubble.Within(t, 20*commit)
		for own := range 2 {
			of.Go(func() {
				time.Sleep(commit / 2 * time.Duration(own))
				for ctx.Err() == nil {
					_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
						_, err := tx.Get("config")
						tx.Put(fmt.Sprint("own/", own), nil)
						return err
					}, nil)
					if err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(3 * commit)
		begun := time.Now()
		_, err := stm.Do(ctx, s, func(tx *stm.Tx) error { tx.Put("config", nil); return nil }, nil)
		if waited := time.Since(begun); err != nil || waited > 7*commit/2 {
			t.Errorf("%v after %v", err, waited)
		}
		of.Wait()
	})
}
