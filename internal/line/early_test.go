package line_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

func openEarly(t *testing.T, etcd *fakeetcd.Server) *line.Line {
	t.Helper()
	l := open(t, etcd)
	l.EarlyGrant = true
	return l
}

// sibling returns the line with another session of the same client.
func sibling(t *testing.T, l *line.Line) *line.Line {
	t.Helper()
	s, err := session.New(t.Context(), l.Session.Client(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(within(t, time.Second)) })
	c := *l
	c.Session = core.Of(s)
	return &c
}

// goRelease releases a hold while the server may be frozen.
func goRelease(t *testing.T, h line.Hold) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- h.Grip.Release(t.Context()) }()
	synctest.Wait()
	return done
}

func (e *entering) granted(t *testing.T) line.Hold {
	t.Helper()
	if e.waits() {
		t.Fatal("it waits")
	}
	if e.err != nil {
		t.Fatal(e.err)
	}
	return e.hold
}

// TestEarlyGrant freezes etcd and releases: the line passes on among the members of the client, up
// to the first member of another client.
func TestEarlyGrant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		own := openEarly(t, etcd)
		second, other := sibling(t, own), openEarly(t, etcd)
		h := enter(t, own)
		var waiting []*entering
		for _, l := range []*line.Line{own, second, own, other, own} {
			waiting = append(waiting, goEnter(t.Context(), l))
		}
		etcd.Freeze()
		var releases []<-chan error
		for i, w := range waiting[:3] {
			if !w.waits() {
				t.Fatalf("%d was let in", i)
			}
			before := h.Fence()
			releases = append(releases, goRelease(t, h))
			if h = w.granted(t); h.Fence() <= before {
				t.Errorf("fence %d after %d", h.Fence(), before)
			}
		}
		releases = append(releases, goRelease(t, h))
		if !waiting[3].waits() || !waiting[4].waits() {
			t.Fatal("a member of another client, or one behind it, was let in")
		}
		etcd.Thaw()
		for i, done := range releases {
			if err := <-done; err != nil {
				t.Errorf("release %d: %v", i, err)
			}
		}
		if h = waiting[3].granted(t); !waiting[4].waits() {
			t.Error("two hold the line")
		}
		release(t, h)
		release(t, waiting[4].granted(t))
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

// TestNoEarlyGrant checks that a waiter is granted the line only once the key of a hold is gone
// under which something may still be written, and under a lock delay.
func TestNoEarlyGrant(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(l *line.Line, h line.Hold) (waiter *line.Line){
		"Guard": func(l *line.Line, h line.Hold) *line.Line { h.Guard(); return l },
		"delay": func(l *line.Line, _ line.Hold) *line.Line { return delayed(l, time.Hour/2) },
		"other recipe": func(l *line.Line, _ line.Hold) *line.Line {
			c := *l
			c.EarlyGrant = false
			return &c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				own := openEarly(t, etcd)
				h := enter(t, own)
				w := goEnter(t.Context(), prepare(own, h))
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if strings.Contains(string(c.Body), "delete") {
						return fakeetcd.Denied()
					}
					return c.Apply()
				})
				err := h.Grip.Release(t.Context())
				if !errors.Is(err, gateway.ErrPermissionDenied) {
					t.Errorf("Release = %v", err)
				}
				if !w.waits() {
					t.Error("let in early")
				}
				etcd.Script(nil)
				release(t, h)
				if <-w.done; w.err != nil {
					t.Fatal(w.err)
				}
				release(t, w.hold)
			})
		})
	}
}

// TestEarlyGrantAfterALimitedHold: a hold with a MaxHold passes on the line early, before and after
// it has noted since when it lasts.
func TestEarlyGrantAfterALimitedHold(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{0, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			own := openEarly(t, etcd)
			own.MaxHold = time.Minute
			h := enter(t, own)
			next := goEnter(t.Context(), own)
			time.Sleep(age)
			etcd.Freeze()
			done := goRelease(t, h)
			second := next.granted(t)
			etcd.Thaw()
			if err := <-done; err != nil {
				t.Errorf("Release = %v", err)
			}
			release(t, second)
			if keys := etcd.Keys("holdfast/sessions/"); len(keys) != 1 {
				t.Errorf("left: %q", keys)
			}
		})
	}
}

// TestEarlyGrantAfterARefusedRelease: the key stays, for all other clients, until the release is
// repeated. The members of the client go on.
func TestEarlyGrantAfterARefusedRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		own, other := openEarly(t, etcd), openEarly(t, etcd)
		h := enter(t, own)
		next := goEnter(t.Context(), own)
		foreign := goEnter(t.Context(), other)
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
		if err := h.Grip.Release(t.Context()); !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Release = %v", err)
		}
		second := next.granted(t)
		etcd.Script(nil)
		put := gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}}
		if _, err := second.Txn(t.Context(), put); err != nil {
			t.Errorf("Txn = %v", err)
		}
		if _, err := h.Txn(t.Context(), put); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Txn under the hold before = %v", err)
		}
		release(t, second)
		if !foreign.waits() {
			t.Error("another client was let in")
		}
		if err := h.Grip.Release(t.Context()); err != nil {
			t.Errorf("Release = %v", err)
		}
		release(t, foreign.granted(t))
	})
}

// TestEarlyGrantOfABrokenHold: the release of a hold whose key is gone reports that.
func TestEarlyGrantOfABrokenHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		own := openEarly(t, etcd)
		h := enter(t, own)
		next := goEnter(t.Context(), own)
		key := etcd.Keys("a/")[0]
		etcd.Freeze()
		done := goRelease(t, h)
		second := next.granted(t)
		etcd.Delete(key)
		etcd.Thaw()
		err := <-done
		if !errors.Is(err, session.ErrNotHeld) || !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("Release = %v", err)
		}
		release(t, second)
	})
}

// TestEarlyGrantEndsWithTheSession: the hold ends before the lease that keeps both keys.
func TestEarlyGrantEndsWithTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		own := openEarly(t, etcd)
		h := enter(t, own)
		next := goEnter(t.Context(), own)
		etcd.Freeze()
		done := goRelease(t, h)
		second := next.granted(t)
		<-second.Context().Done()
		if keys := etcd.Keys("a/"); len(keys) != 2 || !errors.Is(second.Err(), session.ErrExpired) {
			t.Errorf("%v are left, Err = %v", keys, second.Err())
		}
		if err := <-done; !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Release = %v", err)
		}
	})
}
