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
		time.Sleep(time.Second) // until the server has answered the last one
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
