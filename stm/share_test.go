package stm_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// slowCommits delays each commit, so that others wait meanwhile and can share the next request.
func slowCommits(c *fakeetcd.Call) fakeetcd.Answer {
	if c.IsTxn("/w") { // a receipt
		c.Sleep(time.Second)
	}
	return c.Apply()
}

// whileOneIsUnderWay starts a commit of a key of its own, and then runs all functions together.
func whileOneIsUnderWay(t *testing.T, s *session.Session, all ...func(tx *stm.Tx) error) {
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
	time.Sleep(500 * time.Millisecond)
	for _, fn := range all {
		start(fn)
	}
	of.Wait()
}

// TestSharedCommitsHaveNoSkew: of two transactions of one session, each writes a key only if the
// other has not written its key. etcd would apply both if they shared a request.
func TestSharedCommitsHaveNoSkew(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"/one key", "/two keys"} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			etcd.Script(slowCommits)
			put := func(own, other string) func(tx *stm.Tx) error {
				return func(tx *stm.Tx) error {
					value, err := tx.Get(other)
					if level == "/two keys" {
						_, ownErr := tx.Get(own)
						err = errors.Join(err, ownErr)
					}
					if value == nil {
						tx.Put(own, []byte("1"))
					}
					return err
				}
			}
			whileOneIsUnderWay(t, bubble.Session(t, etcd), put("x", "y"), put("y", "x"))
			if keys := etcd.Keys("x"); len(keys)+len(etcd.Keys("y")) != 1 {
				t.Errorf("both transactions have written")
			}
		})
	}
}

// TestSharedCommitsLoseNothing: transactions of one session that add to few keys, with lost answers.
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

// TestCommitsShareARequest: commits of one session that wait together need one request.
func TestCommitsShareARequest(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Script(slowCommits)
		var all []func(tx *stm.Tx) error
		for i := range 10 {
			all = append(all, func(tx *stm.Tx) error { return add(tx, fmt.Sprint("own/", i), 1) })
		}
		s := bubble.Session(t, etcd)
		before := etcd.Revision()
		whileOneIsUnderWay(t, s, all...)
		if n := etcd.Revision() - before; n != 2 { // the first, and the others
			t.Errorf("%d revisions", n)
		}
		if keys := etcd.Keys("own/"); len(keys) != 10 {
			t.Errorf("keys %q", keys)
		}
	})
}
