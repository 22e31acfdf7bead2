package stm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// TestRequests: a transaction without a conflict costs one read and one write.
func TestRequests(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fn       func(*stm.Tx) error
		prefetch []string
		want     int64
	}{
		"one key":     {func(tx *stm.Tx) error { return add(tx, "k", 1) }, nil, 2},
		"two keys":    {transfer("a", "b"), nil, 3},
		"prefetched":  {transfer("a", "b"), []string{"a", "b"}, 2},
		"blind write": {func(tx *stm.Tx) error { tx.Put("k", nil); return nil }, nil, 1},
		"nothing":     {func(*stm.Tx) error { return nil }, nil, 0},
		"read twice": {func(tx *stm.Tx) error {
			_, err := tx.Get("k")
			_, again := tx.Revision("k")
			return errors.Join(err, again)
		}, nil, 1},
		"prefix": {func(tx *stm.Tx) error {
			all, err := tx.Prefix("p/")
			tx.Put("p/n", fmt.Append(nil, len(all)))
			_, again := tx.Prefix("p/")
			_, one := tx.Get("p/x")
			return errors.Join(err, again, one)
		}, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				requests := bubble.Count(etcd)
				_, err := stm.Do(t.Context(), s, tt.fn, &stm.Options{Prefetch: tt.prefetch})
				if err != nil || requests.Load() != tt.want {
					t.Errorf("%d requests, want %d; %v", requests.Load(), tt.want, err)
				}
			})
		})
	}
}

// TestRequestsOfAConflict: the request that finds the first conflict reads for the next attempt.
// After the second one, a request reads all keys.
func TestRequestsOfAConflict(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		etcd.Put("p/1", "1")
		requests := bubble.Count(etcd)
		runs := 0
		var seen []int64
		_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
			all, err := tx.Prefix("p/")
			if err = errors.Join(err, transfer("a", "b")(tx)); runs < 2 {
				etcd.Put("p/2", fmt.Sprint(runs))
			}
			runs++
			seen = append(seen, requests.Load())
			if len(all) != min(runs, 2) {
				t.Errorf("run %d: %v", runs, all)
			}
			return err
		}, nil)
		if err != nil || fmt.Sprint(seen) != "[3 4 6]" || requests.Load() != 7 {
			t.Errorf("requests %v, %d in all; %v", seen, requests.Load(), err)
		}
		wantKey(t, etcd, "a", "-1")
		wantKey(t, etcd, "b", "1")
	})
}

// TestReadsOwnWrites: reads of a transaction include its writes.
func TestReadsOwnWrites(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				etcd.Put("p/1", "one")
				etcd.Put("p/2", "two")
				revision, err := stm.Do(t.Context(), bubble.Session(t, etcd), func(tx *stm.Tx) error {
					value := []byte("new")
					tx.Put("p/3", value)
					value[0] = 'N'
					tx.Put("p/1", nil)
					tx.Delete("p/2")
					one, err1 := tx.Get("p/1")
					two, err2 := tx.Get("p/2")
					three, err3 := tx.Get("p/3")
					none, err4 := tx.Get("p/4")
					if one == nil || len(one) > 0 || two != nil || string(three) != "new" || none != nil {
						t.Errorf("%q, %q, %q, %q", one, two, three, none)
					}
					two2, err5 := tx.Revision("p/2")
					three2, err6 := tx.Revision("p/3")
					if two2 == 0 || three2 != 0 {
						t.Errorf("revisions %d, %d", two2, three2)
					}
					all, err7 := tx.Prefix("p/")
					var keys []string
					for _, kv := range all {
						keys = append(keys, kv.Key+"="+string(kv.Value))
					}
					if strings.Join(keys, " ") != "p/1= p/3=new" {
						t.Errorf("Prefix = %q", keys)
					}
					return errors.Join(err1, err2, err3, err4, err5, err6, err7)
				}, &stm.Options{Isolation: level})
				kv, _ := etcd.Get("p/3")
				if err != nil || revision != etcd.Revision() || kv.ModRevision != revision {
					t.Errorf("revision %d of %v, %v", revision, kv, err)
				}
				wantKey(t, etcd, "p/2", "")
			})
		})
	}
}

var errOwn = errors.New("own error")

// TestAborts: an error or a panic of the function reaches the caller, and nothing is written.
func TestAborts(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		var kept *stm.Tx
		_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
			kept = tx
			return errors.Join(add(tx, "k", 1), errOwn)
		}, nil)
		if !errors.Is(err, errOwn) {
			t.Errorf("Do = %v", err)
		}
		func() {
			defer func() {
				if r := recover(); r != "of the caller" {
					t.Errorf("recovered %v", r)
				}
			}()
			_, _ = stm.Do(t.Context(), s, func(tx *stm.Tx) error {
				tx.Put("k", nil)
				panic("of the caller")
			}, nil)
		}()
		wantKey(t, etcd, "k", "")
		kept.Put("k", nil)
		_, get := kept.Get("k")
		_, rev := kept.Revision("k")
		_, prefix := kept.Prefix("k")
		for _, err := range []error{get, rev, prefix} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}

// TestFailedReadEndsTheAttempt: also if the function ignores the error.
func TestFailedReadEndsTheAttempt(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("secret") {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		for _, opts := range []*stm.Options{nil, {Prefetch: []string{"secret"}}} {
			_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
				_, _ = tx.Get("secret")
				tx.Put("k", nil)
				return nil
			}, opts)
			if !errors.Is(err, gateway.ErrPermissionDenied) {
				t.Errorf("Do = %v", err)
			}
		}
		wantKey(t, etcd, "k", "")
	})
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		for i := range stm.MaxOps + 1 {
			etcd.Put(fmt.Sprint("p/", i), "")
		}
		for name, tt := range map[string]struct {
			fn   func(*stm.Tx) error
			opts *stm.Options
			want error
		}{
			"isolation": {nil, &stm.Options{Isolation: 4}, gateway.ErrInvalid},
			"negative":  {nil, &stm.Options{Isolation: -1}, gateway.ErrInvalid},
			"empty key": {func(tx *stm.Tx) error { tx.Put("", nil); return nil }, nil, gateway.ErrInvalid},
			"option": {func(tx *stm.Tx) error {
				tx.Put("k", nil, gateway.Prefix())
				return nil
			}, nil, gateway.ErrInvalid},
			"many keys": {func(tx *stm.Tx) error {
				_, err := tx.Prefix("p/")
				return err
			}, nil, stm.ErrTooLarge},
			"many ahead": {nil, &stm.Options{Prefetch: make([]string, stm.MaxOps+1)}, stm.ErrTooLarge},
			"many writes": {func(tx *stm.Tx) error {
				for i := range stm.MaxOps + 1 {
					tx.Put(fmt.Sprint("q/", i), nil)
				}
				return nil
			}, nil, stm.ErrTooLarge},
			"many reads": {func(tx *stm.Tx) error {
				for i := range stm.MaxOps + 1 {
					if _, err := tx.Get(fmt.Sprint("q/", i)); err != nil {
						return err
					}
				}
				tx.Put("k", nil)
				return nil
			}, nil, stm.ErrTooLarge},
		} {
			before := etcd.Revision()
			_, err := stm.Do(t.Context(), s, tt.fn, tt.opts)
			if !errors.Is(err, tt.want) || !errors.Is(err, gateway.ErrInvalid) || etcd.Revision() != before {
				t.Errorf("%s: Do = %v", name, err)
			}
		}
		if _, err := stm.Do(t.Context(), nil, nil, nil); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Do without a session = %v", err)
		}
		_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error { // the largest
			all, err := tx.Prefix("p/1")
			for i := range stm.MaxOps {
				tx.Put(fmt.Sprint("p/", i), []byte{byte(len(all))})
			}
			return err
		}, nil)
		if err != nil {
			t.Errorf("Do = %v", err)
		}
	})
}

// TestLostAnswers: each transaction is applied once, although every second answer is lost.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		var of sync.WaitGroup
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if a := c.Apply(); c.N%2 == 0 {
				return a
			}
			return fakeetcd.Lost
		})
		for range 3 {
			of.Go(func() {
				for range 5 {
					if _, err := stm.Do(t.Context(), s, transfer("a", "b"), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		of.Wait()
		wantKey(t, etcd, "a", "-15")
		wantKey(t, etcd, "b", "15")
	})
}

// TestEnds: the call returns when its context ends, or its session.
func TestEnds(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		conflict := func(tx *stm.Tx) error {
			defer etcd.Put("k", "1")
			return add(tx, "k", 1)
		}
		begun := time.Now()
		_, err := stm.Do(bubble.Within(t, time.Second), s, conflict, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second+time.Millisecond {
			t.Errorf("Do among conflicts = %v after %v", err, time.Since(begun))
		}
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("k") {
				_ = c.Apply()
				return c.Silence()
			}
			return c.Apply()
		})
		_, err = stm.Do(bubble.Within(t, time.Second), s, func(tx *stm.Tx) error {
			tx.Put("k", nil)
			return nil
		}, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Do without an answer = %v", err)
		}
		etcd.Script(nil)
		time.Sleep(time.Minute)
		etcd.Revoke(s.Lease())
		time.Sleep(time.Second)
		if _, err = stm.Do(t.Context(), s, transfer("x", "y"), nil); !errors.Is(err, session.ErrLost) {
			t.Errorf("Do after the end = %v", err)
		}
		wantKey(t, etcd, "x", "")
	})
}
