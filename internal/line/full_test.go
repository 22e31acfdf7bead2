package line_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// TestDelayWhileFull checks a waiter that is admitted while the database is full and refuses its
// marker. It keeps its place until there is space. It waits out the delay, counted from the time at
// which it saw the holder leave, because the holder's release wrote no marker either. If the waiter
// gives up or is removed, Enter returns at once.
func TestDelayWhileFull(t *testing.T) {
	t.Parallel()
	const fullFor = 5500 * time.Millisecond // between two of its attempts
	for _, tt := range []struct {
		name  string
		delay time.Duration
		end   func(etcd *fakeetcd.Server, second *line.Line, cancel context.CancelFunc)
		want  error // nil if Enter returns a hold
		took  time.Duration
	}{
		{"space within the delay", delay, makeSpace, nil, delay},
		{"space after the delay", time.Second, makeSpace, nil, fullFor},
		{"given up", delay, func(_ *fakeetcd.Server, _ *line.Line, cancel context.CancelFunc) {
			cancel()
		}, context.Canceled, fullFor},
		{"revoked", delay, func(etcd *fakeetcd.Server, l *line.Line, _ context.CancelFunc) {
			etcd.Revoke(l.Session.Lease())
		}, session.ErrLost, fullFor},
		{"deleted", delay, func(etcd *fakeetcd.Server, l *line.Line, _ context.CancelFunc) {
			etcd.Delete("a/" + l.Session.Lease().String())
		}, session.ErrKeyDeleted, fullFor},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				first, second := delayed(open(t, etcd), tt.delay), delayed(open(t, etcd), tt.delay)
				holder := enter(t, first)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := goEnter(ctx, second)
				etcd.Fill(true)
				start := time.Now()
				release(t, holder)
				time.Sleep(fullFor - time.Millisecond)
				if !w.waits() {
					t.Fatalf("Enter in a full database = %v", w.err)
				}
				time.Sleep(time.Millisecond)
				tt.end(etcd, second, cancel)
				<-w.done
				took := time.Since(start)
				if !errors.Is(w.err, tt.want) || took < tt.took || took > tt.took+time.Second {
					t.Errorf("Enter = %v after %v, want %v after %v", w.err, took, tt.want, tt.took)
				}
				if tt.want == nil {
					release(t, w.hold)
				} else if errors.Is(w.err, gateway.ErrUncertain) ||
					!errors.Is(w.err, gateway.ErrNoSpace) {
					t.Errorf("Enter = %v, want only %v", w.err, gateway.ErrNoSpace)
				}
				synctest.Wait()
				if keys := etcd.Keys("a/"); len(keys) > 0 {
					t.Errorf("%v is left", keys)
				}
			})
		})
	}
}

// TestDelayWhileFullUnseen: a waiter that did not see the holder leave, because the line was read
// again behind it, keeps its place, too.
func TestDelayWhileFullUnseen(t *testing.T) {
	t.Parallel()
	type leaving func(*testing.T, *fakeetcd.Server, line.Hold, *line.Line) *entering
	for name, leave := range map[string]leaving{
		"before the watch": func(
			t *testing.T, etcd *fakeetcd.Server, holder line.Hold, l *line.Line,
		) *entering {
			t.Helper()
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.Path == "/kv/range" {
					etcd.Delete(holder.Key())
					etcd.Fill(true)
				}
				return c.Apply()
			})
			defer etcd.Script(nil)
			return goEnter(t.Context(), l)
		},
		"compacted": func(t *testing.T, etcd *fakeetcd.Server, holder line.Hold, l *line.Line) *entering {
			t.Helper()
			w := goEnter(t.Context(), l)
			etcd.BreakWatches(true)
			etcd.Fill(true)
			etcd.Delete(holder.Key())
			etcd.Compact()
			etcd.BreakWatches(false)
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				first, second := delayed(open(t, etcd), delay), delayed(open(t, etcd), delay)
				start := time.Now()
				w := leave(t, etcd, enter(t, first), second)
				time.Sleep(5 * time.Second)
				if !w.waits() {
					t.Fatalf("Enter in a full database = %v", w.err)
				}
				etcd.Fill(false)
				<-w.done
				if took := time.Since(start); w.err != nil || took < delay {
					t.Errorf("Enter = %v after %v", w.err, took)
				}
			})
		})
	}
}

func makeSpace(etcd *fakeetcd.Server, _ *line.Line, _ context.CancelFunc) { etcd.Fill(false) }

// TestDelayWhileFullAtOnce checks that a member that has not waited in the line fails at once if
// the database becomes full after its join.
func TestDelayWhileFullAtOnce(t *testing.T) {
	t.Parallel()
	type join func(*line.Line, context.Context, line.Join) (line.Hold, error)
	for name, enter := range map[string]join{
		"enter": (*line.Line).Enter, "try": (*line.Line).Try,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				l := delayed(open(t, etcd), delay)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					etcd.Fill(c.IsTxn("holdfast/delay/a"))
					return c.Apply()
				})
				start := time.Now()
				_, err := enter(l, t.Context(), line.Join{})
				if took := time.Since(start); !errors.Is(err, gateway.ErrNoSpace) || took > 0 {
					t.Errorf("%s = %v after %v", name, err, took)
				}
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if keys := etcd.Keys("a/"); len(keys) > 0 {
					t.Errorf("%v is left", keys)
				}
			})
		})
	}
}
