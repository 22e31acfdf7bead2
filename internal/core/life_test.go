package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/session"
)

func TestTTL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ttl   time.Duration
		short bool
		want  time.Duration // 0: refused
	}{
		{0, false, session.DefaultTTL},
		{-1, true, 0},
		{time.Second, false, 0},
		{time.Second, true, time.Second},
		{1500 * time.Millisecond, true, 2 * time.Second},
		{5*time.Second - 1, false, 0},
		{5 * time.Second, false, 5 * time.Second},
		{7*time.Second + 1, false, 8 * time.Second},
		{gateway.MaxTTL + 1, false, 0},
	} {
		t.Run(fmt.Sprintf("%v/%v", tt.ttl, tt.short), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				opts := &session.Options{TTL: tt.ttl, AllowShortTTL: tt.short}
				s, err := session.New(t.Context(), etcd.Client(t), opts)
				if tt.want == 0 {
					if !errors.Is(err, gateway.ErrInvalid) || etcd.Leases() != 0 {
						t.Errorf("New = %v, with %d leases", err, etcd.Leases())
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := time.Until(s.Deadline()); got != tt.want-tt.want/100-100*time.Millisecond {
					t.Errorf("ends in %v", got)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRecordPrefix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		_, err := session.New(t.Context(), etcd.Client(t), &session.Options{RecordPrefix: "x"})
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("New = %v", err)
		}
		s := open(t, etcd, &session.Options{RecordPrefix: "x/", Name: "me", ParentKey: "outer/1"})
		if _, ok := etcd.Get("x/" + s.Lease().String()); !ok {
			t.Error("no record")
		}
		infos, err := s.SessionInfos(t.Context(), s.Lease(), 4711)
		if err != nil || len(infos) != 1 || infos[s.Lease()].Name != "me" ||
			infos[s.Lease()].ParentKey != "outer/1" {
			t.Errorf("Lookup = %v, %v", infos, err)
		}
		if err := core.Of(s).CheckLineName("xy/"); err != nil {
			t.Errorf("CheckLineName = %v", err)
		}
		for _, name := range []string{"", "xy//", "x/", "x//y/"} {
			if err := core.Of(s).CheckLineName(name); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("CheckLineName(%q) = %v", name, err)
			}
		}
		for name, ok := range map[string]bool{
			"": false, "xy/": false, "x": false, "x/y": false, "xy": true, "holdfast/sessions/a": true,
		} {
			if err := core.Of(s).CheckName(name); (err == nil) != ok ||
				err != nil && !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("CheckName(%q) = %v", name, err)
			}
		}
	})
}

// TestNewAfterLostAnswers loses the answer to each request of New in turn.
func TestNewAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		if strings.HasPrefix(loss.name, "unreadable") {
			continue // etcd does not answer a grant like that
		}
		for _, path := range []string{"/lease/grant", "/kv/txn"} {
			t.Run(path+"/"+loss.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					lost := 0
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.Path == path && lost < 2 {
							lost++
							return loss.lose(c)
						}
						return c.Apply()
					})
					s := open(t, etcd, nil)
					if etcd.Leases() != 1 || s.Err() != nil {
						t.Errorf("%d leases, %v", etcd.Leases(), s.Err())
					}
					if kv, _ := etcd.Get(record(s)); kv.Version != 1 || kv.Lease != s.Lease() {
						t.Errorf("record = %+v", kv)
					}
					if out, err := core.Of(s).Write(t.Context(), put(s, "a")); err != nil || out.Repeated {
						t.Errorf("Write = %+v, %v", out, err)
					}
				})
			})
		}
	}
}

// TestNewDoesNotStorm: a proxy without a backend rejects each request at once. New pauses between
// its tries.
func TestNewDoesNotStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		calls := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				calls = c.N
				c.Sleep(time.Millisecond)
				return fakeetcd.Answer{Status: 502, Body: []byte("<html>")}
			}
			return c.Apply()
		})
		_, err := session.New(within(t, 5*time.Second), etcd.Client(t), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("New = %v", err)
		}
		if calls > 30 {
			t.Errorf("%d requests in five seconds", calls)
		}
	})
}

func TestNewRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		_, err := session.New(t.Context(), etcd.Client(t), nil)
		if !errors.Is(err, gateway.ErrPermissionDenied) ||
			!strings.Contains(err.Error(), "record "+session.DefaultRecordPrefix) {
			t.Errorf("New = %v", err)
		}
		if n := etcd.Leases(); n != 0 {
			t.Errorf("%d leases are left", n)
		}
	})
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		c := etcd.Client(t)
		etcd.Freeze()
		for name, call := range map[string]func(context.Context) error{
			"new": func(ctx context.Context) error { _, err := session.New(ctx, c, nil); return err },
			"write": func(ctx context.Context) error {
				_, err := core.Of(s).Write(ctx, put(s, "a"))
				return err
			},
			"txn": func(ctx context.Context) error { _, err := s.Txn(ctx, once("a", true)); return err },
			"look": func(ctx context.Context) error {
				_, err := s.SessionInfos(ctx, s.Lease())
				return err
			},
		} {
			start := time.Now()
			if err := call(within(t, 1300*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v", name, err)
			}
			want := 1300 * time.Millisecond
			if name == "new" {
				want += 100 * time.Millisecond // to revoke a lease that may have been granted
			}
			if took := time.Since(start); took != want {
				t.Errorf("%s took %v", name, took)
			}
		}
		start := time.Now()
		for range 2 {
			if err := s.Close(within(t, 1300*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close = %v", err)
			}
		}
		if took := time.Since(start); took != 2600*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		etcd.Thaw()
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("last Close = %v", err)
		}
	})
}

func TestCauses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		end   func(t *testing.T, etcd *fakeetcd.Server, s *session.Session)
		cause error
		hook  bool
	}{
		{"expired", func(_ *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			etcd.Freeze()
			time.Sleep(15 * time.Second)
		}, session.ErrExpired, true},
		{"revoked, by the watch", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session) {
			etcd.Revoke(s.Lease())
		}, session.ErrRevoked, true},
		{"revoked, by a renewal", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session) {
			etcd.BreakWatches(true)
			etcd.Revoke(s.Lease())
			time.Sleep(6 * time.Second)
		}, session.ErrRevoked, true},
		{"record deleted", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session) {
			etcd.Delete(record(s))
		}, session.ErrRevoked, true},
		{"record deleted and compacted", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session) {
			etcd.BreakWatches(true)
			etcd.Delete(record(s))
			etcd.Compact()
			etcd.BreakWatches(false)
			time.Sleep(2 * time.Second)
		}, session.ErrRevoked, true},
		{"closed", func(t *testing.T, _ *fakeetcd.Server, s *session.Session) {
			t.Helper()
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}, session.ErrClosed, false},
		{"orphaned", func(_ *testing.T, _ *fakeetcd.Server, s *session.Session) {
			s.Orphan()
		}, session.ErrClosed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				told := make(chan error, 2)
				s := open(t, etcd, &session.Options{Hooks: session.Hooks{Lost: func(err error) {
					told <- err
				}}})
				h, _ := core.Of(s).Hold("a", 1, func() {})
				tt.end(t, etcd, s)
				synctest.Wait()
				for i, err := range []error{
					s.Err(), context.Cause(s.Context()), h.Err(), context.Cause(h.Context()),
					core.Of(s).Ready(t.Context()),
				} {
					if !errors.Is(err, tt.cause) || !errors.Is(err, session.ErrLost) {
						t.Errorf("%d: %v", i, err)
					}
				}
				if s.Context().Err() == nil || h.Context().Err() == nil {
					t.Error("a context lives")
				}
				if len(told) != map[bool]int{true: 1}[tt.hook] {
					t.Errorf("the hook was called %d times", len(told))
				}
			})
		})
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() { errs <- s.Close(t.Context()) }()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if len(etcd.Keys("a")) != 0 || etcd.Leases() != 0 || h.Err() == nil {
			t.Error("something is left")
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := etcd.Watches(); n != 0 {
			t.Errorf("%d watches are left", n)
		}
	})
}

// TestCloseWithEndedContext uses a context that has ended, as the context of signal.NotifyContext
// has.
func TestCloseWithEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		frees, cut := open(t, etcd, nil), open(t, etcd, nil)
		if err := frees.Close(ctx); err != nil || etcd.Leases() != 1 {
			t.Errorf("Close = %v, with %d leases left", err, etcd.Leases()-1)
		}
		etcd.Freeze()
		start := time.Now()
		if err := cut.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close without etcd = %v", err)
		}
		if took := time.Since(start); took != grace.Time {
			t.Errorf("took %v", took)
		}
		etcd.Thaw()
	})
}

// TestCloseAfterLoss deletes the keys that the server still has.
func TestCloseAfterLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		hold(t, s, "a")
		etcd.Freeze()
		<-s.Context().Done()
		etcd.Thaw()
		if err := s.Close(t.Context()); err != nil || len(etcd.Keys("a")) != 0 {
			t.Errorf("Close = %v, left: %v", err, etcd.Keys("a"))
		}
		if err := s.Err(); !errors.Is(err, session.ErrExpired) {
			t.Errorf("Err = %v", err)
		}
	})
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		hold(t, s, "a")
		s.Orphan()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(etcd.Keys("a")) != 1 || etcd.Leases() != 1 {
			t.Error("revoked")
		}
		time.Sleep(session.DefaultTTL)
		synctest.Wait()
		if etcd.Leases() != 0 {
			t.Error("renewed")
		}
	})
}

func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		base := "a/" + s.Lease().String()
		k0, _, free0 := core.Of(s).ReserveKey("a")
		k1, _, free1 := core.Of(s).ReserveKey("a")
		other, _, _ := core.Of(s).ReserveKey("b")
		free0()
		again, _, _ := core.Of(s).ReserveKey("a")
		k2, _, _ := core.Of(s).ReserveKey("a")
		free1()
		k1again, _, _ := core.Of(s).ReserveKey("a")
		if k0 != base || k1 != base+"-1" || again != base || k2 != base+"-2" || k1again != k1 ||
			other != "b/"+s.Lease().String() {
			t.Error(k0, k1, again, k2, k1again, other)
		}
	})
}

func TestNoClient(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func() error{
		"New":    func() error { _, err := session.New(t.Context(), nil, nil); return err },
		"Resume": func() error { _, err := session.Resume(t.Context(), nil, 1, nil); return err },
		"Run":    func() error { return session.Run(t.Context(), nil, nil, nil) },
	} {
		if err := call(); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
