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

const delay = 20 * time.Second

// TestDelay checks the time that a member waits after each kind of end of the last hold, from the
// time at which the member saw that end.
func TestDelay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, etcd *fakeetcd.Server, holder line.Hold, l *line.Line)
		want time.Duration
	}{
		{"released", func(t *testing.T, _ *fakeetcd.Server, holder line.Hold, _ *line.Line) {
			t.Helper()
			release(t, holder)
		}, 0},
		{"revoked", func(_ *testing.T, etcd *fakeetcd.Server, _ line.Hold, l *line.Line) {
			etcd.Revoke(l.Session.Lease())
		}, delay},
		{"closed", func(t *testing.T, _ *fakeetcd.Server, _ line.Hold, l *line.Line) {
			t.Helper()
			if err := l.Session.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}, delay},
		{"deleted", func(_ *testing.T, etcd *fakeetcd.Server, holder line.Hold, _ *line.Line) {
			etcd.Delete(holder.Key())
		}, delay},
		{"released after deletion", func(
			t *testing.T, etcd *fakeetcd.Server, holder line.Hold, _ *line.Line,
		) {
			t.Helper()
			etcd.Delete(holder.Key())
			if err := holder.Grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Release = %v", err)
			}
		}, delay},
	} {
		for _, waiting := range []bool{true, false} {
			name := tt.name + map[bool]string{true: ", seen", false: ", not seen"}[waiting]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					first, second := delayed(open(t, etcd), delay), delayed(open(t, etcd), delay)
					holder := enter(t, first)
					var w *entering
					if waiting {
						w = goEnter(t.Context(), second)
					}
					start := time.Now()
					tt.end(t, etcd, holder, first)
					if !waiting {
						w = goEnter(t.Context(), second)
					}
					<-w.done
					if took := time.Since(start); w.err != nil || took != tt.want {
						t.Errorf("Enter = %v after %v, want %v", w.err, took, tt.want)
					}
					release(t, w.hold)
				})
			})
		}
	}
}

func TestDelayFirstOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := delayed(open(t, etcd), delay)
		start := time.Now()
		for range 3 {
			h, err := l.Try(t.Context(), line.Join{})
			if err != nil {
				t.Fatal(err)
			}
			release(t, h)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

// TestDelayBehindAStranger checks the delay behind a member of another library, which writes no
// marker.
func TestDelayBehindAStranger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := delayed(open(t, etcd), delay)
		etcd.Put("a/1234", "")
		w := goEnter(t.Context(), l)
		start := time.Now()
		etcd.Delete("a/1234")
		<-w.done
		if took := time.Since(start); w.err != nil || took != delay {
			t.Errorf("Enter = %v after %v", w.err, took)
		}
	})
}

// TestDelayAbandoned checks that a member that is admitted after an unclean end and leaves within
// the delay does not shorten the delay for the next member.
func TestDelayAbandoned(t *testing.T) {
	t.Parallel()
	for _, seen := range []bool{true, false} {
		t.Run(map[bool]string{true: "seen", false: "not seen"}[seen], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				dead, second, third := delayed(open(t, etcd), delay),
					delayed(open(t, etcd), delay), delayed(open(t, etcd), delay)
				enter(t, dead)
				impatient, cancel := context.WithCancel(t.Context())
				w2 := goEnter(impatient, second)
				var w3 *entering
				if seen {
					w3 = goEnter(t.Context(), third)
				}
				start := time.Now()
				etcd.Revoke(dead.Session.Lease())
				time.Sleep(time.Second)
				cancel()
				<-w2.done
				if !errors.Is(w2.err, context.Canceled) {
					t.Errorf("second = %v", w2.err)
				}
				synctest.Wait()
				if !seen {
					w3 = goEnter(t.Context(), third)
				}
				<-w3.done
				if took := time.Since(start); w3.err != nil || took < delay {
					t.Errorf("third = %v, %v after the unclean end", w3.err, took)
				}
			})
		})
	}
}

// TestDelayMarkerLost checks that a member waits out the delay if the answer to the put of its
// marker is lost.
func TestDelayMarkerLost(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		t.Run(map[bool]string{true: "applied", false: "not applied"}[applied], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				first, second := delayed(open(t, etcd), delay), delayed(open(t, etcd), delay)
				enter(t, first)
				w := goEnter(t.Context(), second)
				lost := 0
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn("holdfast/delay/a") {
						if lost++; lost == 1 {
							if applied {
								c.Apply()
							}
							return fakeetcd.Lost
						}
					}
					return c.Apply()
				})
				start := time.Now()
				etcd.Revoke(first.Session.Lease())
				<-w.done
				if took := time.Since(start); w.err != nil || took != delay || lost < 2 {
					t.Errorf("Enter = %v after %v, marker written %d times", w.err, took, lost)
				}
			})
		})
	}
}

// TestDelayRemoved checks the error when an operator deletes the key of a member that waits out the
// delay.
func TestDelayRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		first, second := delayed(open(t, etcd), delay), delayed(open(t, etcd), delay)
		enter(t, first)
		w := goEnter(t.Context(), second)
		etcd.Revoke(first.Session.Lease())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		etcd.Delete("a/" + second.Session.Lease().String())
		<-w.done
		if !errors.Is(w.err, session.ErrKeyDeleted) || errors.Is(w.err, gateway.ErrUncertain) {
			t.Errorf("Enter = %v", w.err)
		}
	})
}
