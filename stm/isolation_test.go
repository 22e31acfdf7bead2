package stm_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// between runs fn with another change between its reads and its commit, and returns the number of
// runs.
func between(
	t *testing.T, s *session.Session, level stm.Isolation, change func(), fn func(*stm.Tx) error,
) (runs int) {
	t.Helper()
	_, err := stm.Do(bubble.Within(t, time.Minute), s, func(tx *stm.Tx) error {
		err := fn(tx)
		if runs++; runs == 1 {
			change()
		}
		return err
	}, &stm.Options{Isolation: level})
	if err != nil {
		t.Errorf("Do = %v", err)
	}
	return runs
}

// TestIsolation: which changes of others repeat an attempt, at each level.
func TestIsolation(t *testing.T) {
	t.Parallel()
	read := func(keys ...string) func(tx *stm.Tx) error {
		return func(tx *stm.Tx) error {
			var errs []error
			for _, key := range keys {
				_, err := tx.Get(key)
				errs = append(errs, err)
			}
			tx.Put("own", nil)
			return errors.Join(errs...)
		}
	}
	readPrefix := func(tx *stm.Tx) error {
		all, err := tx.Prefix("p/")
		tx.Put("own", fmt.Append(nil, len(all)))
		return err
	}
	put := func(key, value string) func(*fakeetcd.Server) {
		return func(etcd *fakeetcd.Server) { etcd.Put(key, value) }
	}
	remove := func(key string) func(*fakeetcd.Server) {
		return func(etcd *fakeetcd.Server) { etcd.Delete(key) }
	}
	for _, tt := range []struct {
		name   string
		change func(etcd *fakeetcd.Server)
		fn     func(tx *stm.Tx) error
		// The levels at which the attempt is repeated.
		serializable, snapshot, repeatable, committed bool
	}{
		{"a key that was read", put("p/1", "x"), read("p/1", "p/2"), true, true, true, false},
		{"is deleted", remove("p/2"), read("p/1", "p/2"), true, true, true, false},
		{"is created", put("p/3", "x"), read("p/3"), true, true, true, false},
		{"is put again with its value", put("p/1", "1"), read("p/1"), true, true, true, false},
		{"another key", put("p/2", "x"), read("p/1"), false, false, false, false},
		{"a key of a prefix", put("p/1", "x"), readPrefix, true, true, true, false},
		{"is deleted there", remove("p/1"), readPrefix, true, true, true, false},
		{"a phantom", put("p/0", "x"), readPrefix, true, true, false, false},
		{"a key that is written", put("own", "x"), read("p/1"), false, true, false, false},
	} {
		for name, want := range map[string]bool{
			"serializable": tt.serializable, "snapshot": tt.snapshot,
			"repeatable": tt.repeatable, "committed": tt.committed,
		} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					etcd.Put("p/1", "1")
					etcd.Put("p/2", "2")
					s := bubble.Session(t, etcd)
					runs := between(t, s, levels[name], func() { tt.change(etcd) }, tt.fn)
					if (runs == 2) != want || runs > 2 {
						t.Errorf("%d runs, repeated should be %v", runs, want)
					}
				})
			})
		}
	}
}

// TestWriteSkew: two transactions see that no booking exists, and each makes one. Serializable
// levels repeat one of them.
func TestWriteSkew(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				// book books the only room, unless somebody has.
				book := func(who string) func(tx *stm.Tx) error {
					return func(tx *stm.Tx) error {
						booked, err := tx.Prefix("room/")
						if len(booked) == 0 {
							tx.Put("room/"+who, nil)
						}
						return err
					}
				}
				between(t, s, level, func() { between(t, s, level, func() {}, book("b")) }, book("a"))
				want := 1
				if level == stm.RepeatableReads || level == stm.ReadCommitted {
					want = 2
				}
				if n := len(etcd.Keys("room/")); n != want {
					t.Errorf("%d bookings, want %d", n, want)
				}
			})
		})
	}
}

// TestOneRevision: the reads of serializable levels are of one revision, also if the history is
// compacted meanwhile.
func TestOneRevision(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		for _, compact := range []bool{false, true} {
			t.Run(fmt.Sprint(name, compact), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					etcd.Put("a", "0")
					etcd.Put("p/b", "0")
					snapshot := level == stm.Serializable || level == stm.SerializableSnapshot
					runs := 0
					_, err := stm.Do(t.Context(), bubble.Session(t, etcd), func(tx *stm.Tx) error {
						a, err := number(tx, "a")
						if runs++; runs == 1 {
							etcd.Put("a", "1")
							etcd.Put("p/b", "1")
							if compact {
								etcd.Compact()
							}
						}
						all, prefixErr := tx.Prefix("p/")
						b, again := number(tx, "p/b")
						if prefixErr == nil && string(all[0].Value) != fmt.Sprint(b) ||
							snapshot && again == nil && a != b {
							t.Errorf("a is %d, b is %d and %s", a, b, all[0].Value)
						}
						return errors.Join(err, prefixErr, again)
					}, &stm.Options{Isolation: level})
					repeated := snapshot && compact || level == stm.RepeatableReads
					if err != nil || (runs == 2) != repeated {
						t.Errorf("%d runs, %v", runs, err)
					}
				})
			})
		}
	}
}
