package core_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestQuiet checks which releases make a hold quiet, before the key is deleted.
func TestQuiet(t *testing.T) {
	t.Parallel()
	txn := gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}}
	for _, tt := range []struct {
		name   string
		before func(*testing.T, *fakeetcd.Server, *session.Session, held)
		want   bool
	}{
		{"unused", func(*testing.T, *fakeetcd.Server, *session.Session, held) {}, true},
		{"Txn", func(t *testing.T, _ *fakeetcd.Server, _ *session.Session, h held) {
			t.Helper()
			if _, err := h.Txn(t.Context(), txn); err != nil {
				t.Error(err)
			}
		}, true},
		{"Guard", func(_ *testing.T, _ *fakeetcd.Server, _ *session.Session, h held) {
			h.Guard()
		}, false},
		{"Key", func(_ *testing.T, _ *fakeetcd.Server, _ *session.Session, h held) {
			h.Key()
		}, false},
		{"Txn cut off", func(t *testing.T, etcd *fakeetcd.Server, _ *session.Session, h held) {
			t.Helper()
			etcd.Freeze()
			defer etcd.Thaw()
			if _, err := h.Txn(within(t, time.Second), txn); !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Txn = %v", err)
			}
		}, false},
		{"Txn under way", func(t *testing.T, etcd *fakeetcd.Server, _ *session.Session, h held) {
			t.Helper()
			etcd.Freeze()
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = h.Txn(t.Context(), txn)
			}()
			t.Cleanup(func() {
				etcd.Thaw()
				<-done
			})
			synctest.Wait()
		}, false},
		{"lost", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session, _ held) {
			etcd.Revoke(s.Lease())
			<-s.Context().Done()
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := hold(t, s, "a")
				calls := 0
				h.grip.OnQuiet = func(string, int64) {
					calls++
					if _, ok := etcd.Get("a"); !ok || !errors.Is(h.Err(), session.ErrReleased) {
						t.Errorf("the key is there: %v; Err = %v", ok, h.Err())
					}
				}
				tt.before(t, etcd, s, h)
				for range 2 {
					_ = h.grip.Release(within(t, time.Second))
				}
				if (calls == 1) != tt.want || calls > 1 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

// TestNothingUnderAQuietHold checks that no transaction can be made under a hold whose release is
// under way, although its key still exists.
func TestNothingUnderAQuietHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		h.grip.OnQuiet = func(string, int64) {}
		etcd.Freeze()
		err := h.grip.Release(within(t, time.Second))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Release = %v", err)
		}
		txn := gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}}
		if _, err := h.Txn(t.Context(), txn); !errors.Is(err, session.ErrNotHeld) ||
			!errors.Is(err, session.ErrReleased) {
			t.Errorf("Txn = %v", err)
		}
		guard := h.Guard()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn(s.Lease().String()) { // the release
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		etcd.Thaw()
		synctest.Wait()
		resp, err := s.Client().Txn(t.Context(), gateway.Txn{If: []gateway.Cmp{guard}})
		if _, ok := etcd.Get("a"); !ok || err != nil || resp.Succeeded {
			t.Errorf("the key exists: %v; the guard holds: %+v, %v", ok, resp, err)
		}
		etcd.Script(nil)
	})
}
