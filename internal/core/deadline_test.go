package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

func short(ttl time.Duration) *session.Options {
	return &session.Options{TTL: ttl, AllowShortTTL: true}
}

// TestEndsBeforeTheServerDoes: the server stops answering at some moment. The context must end
// before the lease does.
func TestEndsBeforeTheServerDoes(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{
		2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second,
	} {
		for _, after := range []time.Duration{
			0, time.Millisecond, ttl / 4, ttl / 3, ttl/3 + time.Millisecond, ttl, 7 * ttl / 2,
		} {
			t.Run(fmt.Sprintf("%v after %v", ttl, after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, short(ttl))
					time.Sleep(after)
					silent := time.Now()
					etcd.Freeze()
					<-s.Context().Done()
					ended := time.Now()
					if err := context.Cause(s.Context()); !errors.Is(err, session.ErrLost) ||
						!errors.Is(err, session.ErrExpired) {
						t.Errorf("cause = %v", err)
					}
					if !etcd.Expiry(s.Lease()).IsZero() {
						t.Fatal("the server was first")
					}
					time.Sleep(ttl)
					expiry := etcd.Expiry(s.Lease())
					if d := expiry.Sub(ended); d < 100*time.Millisecond || d > ttl/100+100*time.Millisecond {
						t.Errorf("ended %v before the server's expiry", d)
					}
					if lasted := ended.Sub(silent); lasted < ttl/2 {
						t.Errorf("lasted only %v without the server", lasted)
					}
				})
			})
		}
	}
}

// TestSlowAnswers: the server handles each renewal at once and answers late, or the other way
// round. The deadline counts from the send in both cases.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{500 * time.Millisecond, time.Second} {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v before=%v", delay, before), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, short(5*time.Second))
					start := time.Now()
					var sent atomic.Int64 // the time of the last renewal
					var silent atomic.Bool
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if silent.Load() {
							return c.Silence()
						}
						sent.Store(int64(time.Since(start)))
						if before {
							c.Sleep(delay)
							return c.Apply()
						}
						a := c.Apply()
						c.Sleep(delay)
						return a
					})
					time.Sleep(12 * time.Second) // some renewals
					synctest.Wait()
					if err := s.Err(); err != nil {
						t.Fatalf("a slow server is enough to lose the session: %v", err)
					}
					if !before && time.Since(start)-time.Duration(sent.Load()) > 5*time.Second {
						t.Fatal("no renewals")
					}
					deadline := s.Deadline()
					silent.Store(true)
					<-s.Context().Done()
					if now := time.Now(); now.After(deadline.Add(5*time.Second)) ||
						!etcd.Expiry(s.Lease()).IsZero() {
						t.Errorf("ended at %v, deadline was %v", now, deadline)
					}
					time.Sleep(5 * time.Second)
					if etcd.Expiry(s.Lease()).IsZero() {
						t.Error("the lease lives on")
					}
				})
			})
		}
	}
}

func TestDeadlineCountsFromTheSend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/lease/grant" {
				c.Sleep(700 * time.Millisecond)
			}
			return c.Apply()
		})
		start := time.Now()
		s := open(t, etcd, short(10*time.Second))
		if got, want := s.Deadline().Sub(start), 9800*time.Millisecond; got != want {
			t.Errorf("deadline %v after the send, want %v", got, want)
		}
	})
}

// TestNewSlowerThanTheLease: the answer to the grant is so late that nothing is left of the time to
// live.
func TestNewSlowerThanTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			a := c.Apply()
			if c.Path == "/kv/txn" {
				c.Sleep(950 * time.Millisecond)
				if c.N < 6 {
					return fakeetcd.Lost
				}
			}
			return a
		})
		s, err := session.New(t.Context(), etcd.Client(t), short(2*time.Second))
		if err == nil {
			t.Fatalf("a session that ends at %v", s.Deadline())
		}
		t.Log(err)
	})
}

func TestSuspect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		type change struct {
			what string
			at   time.Duration
		}
		start := time.Now()
		var mu sync.Mutex
		var changes []change
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, change{what, time.Since(start)})
		}
		s := open(t, etcd, &session.Options{
			TTL: 10 * time.Second,
			Hooks: session.Hooks{
				Suspect:   func() { note("suspect") },
				Recovered: func() { note("trusted") },
				Lost:      func(err error) { note(err.Error()) },
			},
		})
		if err := core.Of(s).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if err := core.Of(s).Ready(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready while suspect = %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("suspect is not lost: %v", err)
		}
		etcd.Script(nil)
		if err := core.Of(s).Ready(t.Context()); err != nil {
			t.Errorf("Ready = %v", err)
		}
		back := time.Since(start)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		time.Sleep(6 * time.Second)
		if err := core.Of(s).Ready(t.Context()); !errors.Is(err, session.ErrExpired) {
			t.Errorf("Ready over a loss = %v", err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(changes) != 4 || changes[0] != (change{"suspect", 5 * time.Second}) ||
			changes[1].what != "trusted" || changes[1].at > back || changes[2].what != "suspect" ||
			changes[3].what != "session: lost: lease not renewed in time" {
			t.Errorf("changes = %v", changes)
		}
	})
}

// TestNoWayBack: the server, and its answer to an old renewal, is back after the deadline.
func TestNoWayBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, short(5*time.Second))
		hold, _ := core.Of(s).Hold("a", 1, func() {})
		etcd.Freeze()
		<-s.Context().Done()
		etcd.Thaw() // answers all renewals that wait
		synctest.Wait()
		for range 10 {
			if !errors.Is(s.Err(), session.ErrExpired) || !errors.Is(hold.Err(), session.ErrExpired) ||
				!errors.Is(context.Cause(hold.Context()), session.ErrLost) {
				t.Fatalf("Err = %v, %v", s.Err(), hold.Err())
			}
			time.Sleep(time.Second)
		}
	})
}

func TestRenewalsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		last := s.Deadline()
		for range 50 {
			time.Sleep(6 * time.Second)
			synctest.Wait()
			now := s.Deadline()
			if !now.After(last) || s.Err() != nil {
				t.Fatalf("deadline %v after %v: %v", now, last, s.Err())
			}
			last = now
		}
	})
}
