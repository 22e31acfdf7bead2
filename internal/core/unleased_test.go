package core_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestKeyWithoutItsLease: a hold whose key is put again without the lease ends, and its key goes, so that others go on.
func TestKeyWithoutItsLease(t *testing.T) {
	t.Parallel()
	type hold interface {
		Key() string
		Fence() int64
		Context() context.Context
		Err() error
	}
	for name, acquire := range map[string]func(t *testing.T, s *session.Session) (hold, func() error, error){
		"mutex": func(t *testing.T, s *session.Session) (hold, func() error, error) {
			t.Helper()
			l, err := mutex.New(s, "a", nil).Lock(t.Context())
			return l, func() error { return l.Unlock(t.Context()) }, err
		},
		"semaphore": func(t *testing.T, s *session.Session) (hold, func() error, error) {
			t.Helper()
			p, err := semaphore.New(s, "a", 1).Acquire(t.Context(), 1)
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
