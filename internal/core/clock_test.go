package core

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestTrust(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[time.Duration]time.Duration{
		2 * time.Second:   1880 * time.Millisecond,
		5 * time.Second:   4850 * time.Millisecond,
		15 * time.Second:  14750 * time.Millisecond,
		gateway.MaxTTL:    gateway.MaxTTL/100*99 - 100*time.Millisecond,
		100 * time.Second: 98900 * time.Millisecond,
	} {
		if got := trustWindow(ttl); got != want {
			t.Errorf("trust(%v) = %v, want %v", ttl, got, want)
		}
	}
}

// skew changes the wall reading of a time by whole seconds and keeps the monotonic reading, which
// package time cannot do. With a monotonic reading the first word of a Time holds the wall seconds
// above 30 bits of nanoseconds. Times of a bubble have no monotonic reading.
func skew(t time.Time, by time.Duration) time.Time {
	if t == t.Round(0) { //nolint:staticcheck // == tells whether there is a monotonic reading
		return t.Add(by)
	}
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	return t
}

func startSession(t *testing.T, etcd *fakeetcd.Server) *Session {
	t.Helper()
	return startSessionOf(t, etcd.Client(t))
}

func startSessionOf(t *testing.T, c *gateway.Client) *Session {
	t.Helper()
	s, err := New(t.Context(), c, Config{
		TTL: 15 * time.Second, RecordPrefix: "holdfast/sessions/", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // some tests leave the server frozen
	})
	synctest.Wait()
	return s
}

// stopTimers lets a session look at the clock only when it is called.
func stopTimers(s *Session) {
	ticking.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
}

// TestLateTimer: Err uses the clock, not the timer.
func TestLateTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := startSession(t, etcd)
		etcd.Freeze()
		stopTimers(s)
		time.Sleep(trustWindow(s.opt.TTL) - 1)
		if err := s.Err(); err != nil {
			t.Fatalf("too early: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if s.ctx.Err() != nil {
			t.Fatal("the timer was to be late")
		}
		hold, _ := s.Hold("a", 1, func() {})
		if err := hold.Err(); !errors.Is(err, ErrExpired) {
			t.Errorf("Err = %v", err)
		}
		if s.ctx.Err() == nil {
			t.Error("the context lives")
		}
	})
}

// TestReadyBeforeTheTimer: after a step of the wall clock, Ready sees by the clock that the session
// is suspect before the timer fires. It still returns when the session is trusted again.
func TestReadyBeforeTheTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSession(t, fakeetcd.Start(t))
		s.mu.Lock()
		s.grant.Sent = skew(s.grant.Sent, -8*time.Second)
		s.mu.Unlock()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Ready(ctx); err != nil {
			t.Errorf("Ready = %v", err)
		}
		if took := time.Since(start); took != 5*time.Second { // the next renewal
			t.Errorf("Ready took %v", took)
		}
	})
}

// TestAnswersOutOfOrder: the answer to the newest send counts. It may move the deadline back,
// because a renewal replaces the earlier ones. An older answer does not change the deadline.
func TestAnswersOutOfOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSession(t, fakeetcd.Start(t))
		first := s.grant
		time.Sleep(time.Second)
		newer := gateway.LeaseGrant{ID: s.lease, TTL: s.opt.TTL, Sent: time.Now()}
		check := func(what string, want gateway.LeaseGrant) {
			t.Helper()
			if got := s.Deadline(); !got.Equal(deadline(want)) {
				t.Errorf("%s: deadline %v, want %v", what, got, deadline(want))
			}
		}
		s.renewed(newer)
		check("newer", newer)
		s.renewed(first)
		check("older", newer)
		s.renewed(gateway.LeaseGrant{ID: s.lease, TTL: 5 * time.Second, Sent: newer.Sent.Add(-1)})
		check("older and shorter", newer)
		time.Sleep(time.Second)
		short := gateway.LeaseGrant{ID: s.lease, TTL: 5 * time.Second, Sent: time.Now()}
		s.renewed(short)
		check("newer and shorter", short)
		s.renewed(newer)
		check("older and longer", short)
		s.renewed(gateway.LeaseGrant{ID: s.lease})
		if err := s.Err(); !errors.Is(err, ErrRevoked) {
			t.Errorf("Err = %v", err)
		}
		s.renewed(newer)
		if err := s.Err(); !errors.Is(err, ErrRevoked) {
			t.Errorf("Err = %v", err)
		}
	})
}

// TestNoRenewalAfterTheDeadline: the answer arrives between the deadline and a late timer.
func TestNoRenewalAfterTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := startSession(t, etcd)
		etcd.Freeze()
		stopTimers(s)
		time.Sleep(trustWindow(s.opt.TTL))
		s.renewed(gateway.LeaseGrant{ID: s.lease, TTL: s.opt.TTL, Sent: time.Now()})
		if err := s.Err(); !errors.Is(err, ErrExpired) {
			t.Errorf("Err = %v", err)
		}
	})
}

// TestRestoredCluster: a record older than the epoch can only be from a backup.
func TestRestoredCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSession(t, fakeetcd.Start(t))
		s.advanceEpoch(s.epoch.Load() + 100)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Write(ctx, Write{Then: []gateway.Op{gateway.OpPut("a", nil)}})
		if !errors.Is(err, ErrRevoked) {
			t.Errorf("Write = %v", err)
		}
	})
}
