package core_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestKeyWithoutItsLease: a hold whose key is put again without the lease ends, and its key is
// deleted, so that others can acquire it.
func TestKeyWithoutItsLease(t *testing.T) {
	t.Parallel()
	type hold interface {
		Key() string
		Fence() int64
		Context() context.Context
		Err() error
	}
	type acquireFunc func(t *testing.T, s *session.Session) (hold, func() error, error)
	for name, acquire := range map[string]acquireFunc{
		"mutex": func(t *testing.T, s *session.Session) (hold, func() error, error) {
			t.Helper()
			l, err := mutex.New(s, "a", nil).Lock(t.Context())
			return l, func() error { return l.Unlock(t.Context()) }, err
		},
		"semaphore": func(t *testing.T, s *session.Session) (hold, func() error, error) {
			t.Helper()
			p, err := semaphore.New(s, "a", 1, nil).Acquire(t.Context(), 1)
			return p, func() error { return p.Release(t.Context()) }, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				first, release, err := acquire(t, s)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // then its key is watched
				etcd.Put(first.Key(), "1")
				synctest.Wait()
				if err := first.Err(); !errors.Is(err, session.ErrKeyDeleted) || first.Context().Err() == nil {
					t.Errorf("Err = %v", err)
				}
				if _, ok := etcd.Get(first.Key()); ok {
					t.Error("the key is still there")
				}
				second, releaseSecond, err := acquire(t, s)
				if err != nil {
					t.Fatal(err)
				}
				if second.Fence() <= first.Fence() {
					t.Errorf("fence %d after %d", second.Fence(), first.Fence())
				}
				if err := release(); !errors.Is(err, session.ErrNotHeld) {
					t.Errorf("release = %v", err)
				}
				if err := releaseSecond(); err != nil || second.Key() == "" {
					t.Error(err)
				}
			})
		})
	}
}

// TestRecordWithoutItsLease: a record that is put again without the lease would outlive the
// session, and let it write without a lease. The session ends, and its Close deletes the record.
func TestRecordWithoutItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		lock, err := mutex.New(s, "a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kv, _ := etcd.Get(record(s))
		etcd.Put(record(s), string(kv.Value))
		synctest.Wait()
		if err := lock.Err(); !errors.Is(err, session.ErrRevoked) || lock.Context().Err() == nil {
			t.Errorf("Err = %v", err)
		}
		if _, err := s.Txn(t.Context(), once("done", true)); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("Txn = %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if left := etcd.Keys("holdfast/"); len(left) > 0 || len(etcd.Keys("a/")) > 0 {
			t.Errorf("left: %q, %q", left, etcd.Keys("a/"))
		}
	})
}

// TestWriteBesideARecordWithoutItsLease: a write does not take up the epoch of such a record where
// no watch reports it, and ends the session.
func TestWriteBesideARecordWithoutItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.BreakWatches(true)
		kv, _ := etcd.Get(record(s))
		etcd.Put(record(s), string(kv.Value))
		etcd.Revoke(s.Lease())
		if err := barrier.New(s, "b").Raise(t.Context()); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("Raise = %v", err)
		}
		if keys := etcd.Keys("b/"); len(keys) > 0 {
			t.Errorf("raised without a lease: %q", keys)
		}
	})
}
