package stm_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/stm"
)

// TestRememberedKeysAreNotRead: a transaction on keys that the session remembers sends its commit
// alone, and finds out there if a key has changed.
func TestRememberedKeysAreNotRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(etcd *fakeetcd.Server) // by others
		want   int64                       // requests
		a      string
	}{
		"unchanged": {func(*fakeetcd.Server) {}, 1, "-2"},
		"put":       {func(etcd *fakeetcd.Server) { etcd.Put("a", "10") }, 2, "9"},
		"put again": {func(etcd *fakeetcd.Server) { etcd.Put("a", "-1") }, 2, "-2"},
		"deleted":   {func(etcd *fakeetcd.Server) { etcd.Delete("a") }, 2, "-1"},
	} {
		for level, isolation := range levels {
			if isolation == stm.ReadCommitted {
				continue
			}
			t.Run(name+"/"+level, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					s := bubble.Session(t, etcd)
					opts := &stm.Options{
						Isolation: isolation, Cache: true, Prefetch: []string{"a", "b"},
					}
					if _, err := stm.Do(t.Context(), s, transfer("a", "b"), opts); err != nil {
						t.Fatal(err)
					}
					tt.change(etcd)
					requests := bubble.Count(etcd)
					_, err := stm.Do(t.Context(), s, transfer("a", "b"), opts)
					if err != nil || requests.Load() != tt.want {
						t.Errorf("%d requests, want %d; %v", requests.Load(), tt.want, err)
					}
					wantKey(t, etcd, "a", tt.a)
					wantKey(t, etcd, "b", "2")
				})
			})
		}
	}
}

// TestRememberedKeysThatTheSessionChanges: transactions of one session that change the same key at
// the same time send a commit each and read nothing, because the session remembers their writes.
func TestRememberedKeysThatTheSessionChanges(t *testing.T) {
	t.Parallel()
	for level, isolation := range levels {
		if isolation == stm.ReadCommitted {
			continue
		}
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				one := func() {
					if _, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
						return add(tx, "k", 1)
					}, &stm.Options{Isolation: isolation, Cache: true}); err != nil {
						t.Error(err)
					}
				}
				one()
				var requests atomic.Int64
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if strings.HasPrefix(c.Path, "/kv/") {
						requests.Add(1)
					}
					return slowly(c)
				})
				const others = 10
				var of sync.WaitGroup
				for range others {
					of.Go(one)
				}
				of.Wait()
				if n := requests.Load(); n != others {
					t.Errorf("%d requests for %d transactions", n, others)
				}
				wantKey(t, etcd, "k", fmt.Sprint(others+1))
			})
		})
	}
}

// TestRememberedKeysAreNotTrusted: a transaction that only reads does not return an old value, and
// neither does one that compares nothing.
func TestRememberedKeysAreNotTrusted(t *testing.T) {
	t.Parallel()
	for level, isolation := range levels {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				for want := range 4 {
					var got []int
					revision, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
						a, err := number(tx, "a")
						b, bErr := number(tx, "b")
						got = []int{a, b}
						return errors.Join(err, bErr)
					}, &stm.Options{Isolation: isolation, Cache: true})
					if err != nil || revision != etcd.Revision() ||
						fmt.Sprint(got) != fmt.Sprintf("[%d %d]", want, want) {
						t.Errorf("read %v at %d, want %d at %d; %v",
							got, revision, want, etcd.Revision(), err)
					}
					etcd.Put("a", fmt.Sprint(want+1))
					etcd.Put("b", fmt.Sprint(want+1))
				}
			})
		})
	}
}

// TestAFailureOnRememberedKeysIsNotFinal: a function that fails, panics or asks for too much
// because of old values is called again with values that were read.
func TestAFailureOnRememberedKeysIsNotFinal(t *testing.T) {
	t.Parallel()
	errOld := errors.New("old")
	for name, fail := range map[string]func(tx *stm.Tx) error{
		"error":   func(*stm.Tx) error { return errOld },
		"panic":   func(*stm.Tx) error { panic("old") },
		"options": func(tx *stm.Tx) error { tx.Put("b", nil, gateway.Prefix()); return nil },
		"size": func(tx *stm.Tx) error {
			for i := range stm.MaxOps + 1 {
				tx.Put(fmt.Sprint("x", i), nil)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				calls := 0
				fn := func(tx *stm.Tx) error {
					calls++
					if n, err := number(tx, "a"); err != nil || n == 1 {
						return errors.Join(err, fail(tx))
					}
					return add(tx, "b", 1)
				}
				opts := &stm.Options{Cache: true}
				if _, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
					tx.Put("a", []byte("1"))
					return nil
				}, opts); err != nil {
					t.Fatal(err)
				}
				etcd.Put("a", "2")
				if _, err := stm.Do(t.Context(), s, fn, opts); err != nil || calls != 2 {
					t.Errorf("%d calls, %v", calls, err)
				}
				wantKey(t, etcd, "b", "1")

				etcd.Put("a", "1")                 // now the failure is right
				for _, want := range []int{2, 1} { // the old value is forgotten
					calls = 0
					err := func() (err error) {
						defer func() {
							if r := recover(); r != nil {
								err = fmt.Errorf("panic: %v", r)
							}
						}()
						_, err = stm.Do(t.Context(), s, fn, opts)
						return err
					}()
					if err == nil || calls != want {
						t.Errorf("%d calls, want %d; %v", calls, want, err)
					}
				}
				wantKey(t, etcd, "b", "1")
			})
		})
	}
}

// TestBlindWritesAfterRememberedKeys: with SerializableSnapshot a change of a key that is written
// and was not read counts from the oldest value on.
func TestBlindWritesAfterRememberedKeys(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		opts := &stm.Options{Isolation: stm.SerializableSnapshot, Cache: true}
		calls := 0
		fn := func(tx *stm.Tx) error {
			calls++
			tx.Put("blind", nil)
			return add(tx, "a", 1)
		}
		if _, err := stm.Do(t.Context(), s, fn, opts); err != nil {
			t.Fatal(err)
		}
		etcd.Put("blind", "changed")
		if _, err := stm.Do(t.Context(), s, fn, opts); err != nil || calls != 3 {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

// TestWhatIsNotRemembered: values that are large, or that the session does not know.
func TestWhatIsNotRemembered(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(tx *stm.Tx){
		"large":   func(tx *stm.Tx) { tx.Put("a", []byte(strings.Repeat("0", 5000))) },
		"partial": func(tx *stm.Tx) { tx.Put("a", nil, gateway.IgnoreValue()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				etcd.Put("a", "0")
				opts := &stm.Options{Cache: true}
				for _, fn := range []func(tx *stm.Tx) error{
					func(tx *stm.Tx) error { return add(tx, "a", 0) },
					func(tx *stm.Tx) error { put(tx); return nil },
				} {
					if _, err := stm.Do(t.Context(), s, fn, opts); err != nil {
						t.Fatal(err)
					}
				}
				requests := bubble.Count(etcd)
				_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error { return add(tx, "a", 1) }, opts)
				if err != nil || requests.Load() != 2 {
					t.Errorf("%d requests, %v", requests.Load(), err)
				}
				wantKey(t, etcd, "a", "1")
			})
		})
	}
}

// TestADeletionIsRemembered.
func TestADeletionIsRemembered(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		etcd.Put("a", "5")
		opts := &stm.Options{Cache: true}
		if _, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
			tx.Delete("a")
			return nil
		}, opts); err != nil {
			t.Fatal(err)
		}
		requests := bubble.Count(etcd)
		_, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error { return add(tx, "a", 1) }, opts)
		if err != nil || requests.Load() != 1 {
			t.Errorf("%d requests, %v", requests.Load(), err)
		}
		wantKey(t, etcd, "a", "1")
	})
}

// TestTheMemoryOfASessionIsBounded, and the keys that it has forgotten are read again.
func TestTheMemoryOfASessionIsBounded(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		opts := &stm.Options{Cache: true}
		const keys = 10_000 + stm.MaxOps
		for first := 0; first < keys; first += stm.MaxOps {
			if _, err := stm.Do(t.Context(), s, func(tx *stm.Tx) error {
				for i := range stm.MaxOps {
					tx.Put(fmt.Sprint("k", first+i), []byte("1"))
				}
				return nil
			}, opts); err != nil {
				t.Fatal(err)
			}
		}
		requests := bubble.Count(etcd)
		for first := 0; first < keys; first += stm.MaxOps {
			if _, err := stm.Do(t.Context(), s, func(tx *stm.Tx) (err error) {
				for i := range stm.MaxOps {
					n, readErr := number(tx, fmt.Sprint("k", first+i))
					if err = errors.Join(err, readErr); n != 1 {
						t.Errorf("key %d is %d", first+i, n)
					}
				}
				return err
			}, &stm.Options{Cache: true}); err != nil {
				t.Fatal(err)
			}
		}
		// One request checks each transaction. The keys that were forgotten are read one by one.
		if n := requests.Load(); n <= keys/stm.MaxOps || n > keys/stm.MaxOps+3*stm.MaxOps {
			t.Errorf("%d requests", n)
		}
	})
}

// TestRememberedKeysAndLostAnswers: with two sessions that remember keys which both change, and
// answers that are lost, each transfer is applied once.
func TestRememberedKeysAndLostAnswers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var of sync.WaitGroup
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if a := c.Apply(); c.N%3 != 0 {
				return a
			}
			return fakeetcd.Lost
		})
		for range 2 {
			s := bubble.Session(t, etcd)
			for range 3 {
				of.Go(func() {
					for range 5 {
						_, err := stm.Do(t.Context(), s, transfer("a", "b"), &stm.Options{Cache: true})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		of.Wait()
		wantKey(t, etcd, "a", "-30")
		wantKey(t, etcd, "b", "30")
	})
}
