package stm_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		c := newClient(t, gateway.Config{Endpoints: own.Endpoints()})
		s := newSession(t, c, nil)
		for name, test := range map[string]func(*testing.T, *gateway.Client, *session.Session){
			"Counter":   counter,
			"Cached":    cached,
			"Isolation": isolation,
			"Skew":      skew,
			"Largest":   largest,
			"Lease":     leased,
			"Nested":    nested,
			"Requests":  func(t *testing.T, _ *gateway.Client, _ *session.Session) { requests(t, own) },
			"SharedSkew": func(t *testing.T, _ *gateway.Client, _ *session.Session) {
				sharedSkew(t, own)
			},
		} {
			t.Run(name, func(t *testing.T) { test(t, c, s) })
		}
	})
}

// counter: goroutines that add to one key lose nothing.
func counter(t *testing.T, c *gateway.Client, s *session.Session) {
	key := fresh(t)
	const goroutines, each = 8, 10
	var of sync.WaitGroup
	for range goroutines {
		of.Go(func() {
			for range each {
				if _, err := stm.Do(within(t, time.Minute), s, func(tx *stm.Tx) error {
					return add(tx, key, 1)
				}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	of.Wait()
	resp, err := c.Get(within(t, time.Minute), key)
	if err != nil || string(resp.KVs[0].Value) != strconv.Itoa(goroutines*each) {
		t.Errorf("%v, %v", resp, err)
	}
}

// isolation: which changes between the reads and the commit repeat an attempt.
func isolation(t *testing.T, c *gateway.Client, s *session.Session) {
	ctx := within(t, time.Minute)
	put := func(key string) func() error {
		return func() error { _, err := c.Put(ctx, key, []byte("0")); return err }
	}
	remove := func(key string) func() error {
		return func() error { _, err := c.Delete(ctx, key); return err }
	}
	for name, level := range levels {
		base := fresh(t)
		for _, tt := range []struct {
			name   string
			change func() error
			repeat bool
		}{
			{"a key", put(base + "/1"), level != stm.ReadCommitted},
			{"a deletion", remove(base + "/2"), level != stm.ReadCommitted},
			{"a phantom", put(base + "/3"), level <= stm.SerializableSnapshot},
			{"a write", put(base + "-own"), level == stm.SerializableSnapshot},
			{"another key", put(base), false},
		} {
			if err := errors.Join(put(base+"/1")(), put(base+"/2")(), remove(base+"/3")()); err != nil {
				t.Fatal(err)
			}
			runs := 0
			_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
				all, err := tx.Prefix(base + "/")
				tx.Put(base+"-own", fmt.Append(nil, len(all)))
				if runs++; runs == 1 {
					err = errors.Join(err, tt.change())
				}
				return err
			}, &stm.Options{Isolation: level})
			if err != nil || (runs > 1) != tt.repeat {
				t.Errorf("%s, %s: %d runs, %v", name, tt.name, runs, err)
			}
		}
	}
}

// skew: two transactions see that there is no booking, and each makes one.
func skew(t *testing.T, c *gateway.Client, s *session.Session) {
	ctx := within(t, time.Minute)
	for name, level := range levels {
		prefix := fresh(t) + "/"
		read := make(chan struct{}, 2)
		var both, of sync.WaitGroup
		both.Add(2)
		go func() { both.Wait(); close(read) }()
		for _, key := range []string{"a", "b"} {
			of.Go(func() {
				runs := 0
				_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
					booked, err := tx.Prefix(prefix)
					if runs++; runs == 1 {
						both.Done()
						<-read
					}
					if len(booked) == 0 {
						tx.Put(prefix+key, nil)
					}
					return err
				}, &stm.Options{Isolation: level})
				if err != nil {
					t.Error(err)
				}
			})
		}
		of.Wait()
		want := int64(1)
		if level == stm.RepeatableReads || level == stm.ReadCommitted {
			want = 2
		}
		resp, err := c.Get(ctx, prefix, gateway.Prefix(), gateway.CountOnly())
		if err != nil || resp.Count != want {
			t.Errorf("%s: %d bookings, want %d; %v", name, resp.Count, want, err)
		}
	}
}

// largest: a transaction of the largest size is accepted, and one more key is not.
func largest(t *testing.T, _ *gateway.Client, s *session.Session) {
	ctx, prefix := within(t, time.Minute), fresh(t)+"/"
	for _, level := range levels {
		var keys []string
		for i := range stm.MaxOps {
			keys = append(keys, prefix+strconv.Itoa(i))
		}
		all := func(tx *stm.Tx) error {
			for _, key := range keys {
				if err := add(tx, key, 1); err != nil {
					return err
				}
			}
			return nil
		}
		opts := &stm.Options{Isolation: level, Prefetch: keys}
		if _, err := stm.Do(ctx, s, all, opts); err != nil {
			t.Error(err)
		}
		keys = append(keys, prefix+"more")
		if _, err := stm.Do(ctx, s, all, opts); !errors.Is(err, stm.ErrTooLarge) {
			t.Errorf("Do = %v", err)
		}
	}
}

// leased: a put with the session's lease, and one with a lease that is gone.
func leased(t *testing.T, c *gateway.Client, s *session.Session) {
	ctx, key := within(t, time.Minute), fresh(t)
	put := func(lease gateway.LeaseID) error {
		_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
			tx.Put(key, nil, gateway.WithLease(lease))
			return nil
		}, nil)
		return err
	}
	err := put(s.Lease())
	resp, readErr := c.Get(ctx, key)
	if err != nil || readErr != nil || resp.KVs[0].Lease != s.Lease() {
		t.Errorf("%v, %v, %v", resp, err, readErr)
	}
	if err := put(0x1234); !errors.Is(err, gateway.ErrLeaseNotFound) ||
		errors.Is(err, gateway.ErrUncertain) {
		t.Errorf("Do = %v", err)
	}
}

// requests: a transaction without a conflict costs one read and one write.
func requests(t *testing.T, own *etcdtest.Cluster) {
	p, err := faultproxy.NewHTTP(own.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	s := newSession(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}}), nil)
	ctx, a, b := within(t, time.Minute), fresh(t), fresh(t)
	var mu sync.Mutex
	sent := 0
	p.Add(faultproxy.Rule{Match: func(r *faultproxy.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Path == "/v3/kv/range" || r.Path == "/v3/kv/txn" {
			sent++
		}
		return false
	}, Action: faultproxy.Drop})
	const n = 20
	for range n {
		if _, err := stm.Do(ctx, s, func(tx *stm.Tx) error { return transfer(tx, a, b, 1) },
			&stm.Options{Prefetch: []string{a, b}}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if sent != 2*n {
		t.Errorf("%d requests for %d transactions", sent, n)
	}
}

// TestCanceled: a transaction among conflicts ends with its context.
func TestCanceled(t *testing.T) {
	t.Parallel()
	c := newClient(t, gateway.Config{})
	s, key := newSession(t, c, nil), fresh(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
		err := add(tx, key, 1)
		_, putErr := c.Put(ctx, key, []byte("0"))
		return errors.Join(err, putErr)
	}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 5*time.Second {
		t.Errorf("Do = %v after %v", err, time.Since(begun))
	}
}
