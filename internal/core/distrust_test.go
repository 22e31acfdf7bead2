package core_test

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestNoSpaceApplied: etcd reports a full database for a write that it has applied. The write is
// undone.
func TestNoSpaceApplied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			a := c.Apply()
			if strings.Contains(string(c.Body), `"request_put"`) { // deletions still work
				return fakeetcd.Error(
					gateway.CodeResourceExhausted, "etcdserver: mvcc: database space exceeded")
			}
			return a
		})
		w := put(s, "a")
		w.Compensation = core.Deletion("a")
		if _, err := core.Of(s).Write(within(t, time.Minute), w); !errors.Is(err, gateway.ErrUncertain) ||
			!errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("Write = %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, ok := etcd.Get("a"); ok {
			t.Error("it is still there")
		}
	})
}

// TestAnswersThatCannotBe end a write with an error that gives the reason, before its context ends.
func TestAnswersThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func([]byte) []byte
		is    error
		lost  bool
	}{
		"another cluster": {
			replace(`"cluster_id":"[0-9]+"`, `"cluster_id":"7"`), gateway.ErrClusterMismatch, true,
		},
		"a restored one": {
			replace(`"revision":"[0-9]+"`, `"revision":"1"`), gateway.ErrRevisionRegressed, true,
		},
		"a portal": {replace(`(?s).*`, `<html>portal</html>`), gateway.ErrProtocol, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					a := c.Apply()
					if strings.HasSuffix(c.Path, "/txn") || tt.lost && strings.HasPrefix(c.Path, "/kv/") {
						a.Body = tt.spoil(a.Body)
					}
					return a
				})
				start := time.Now()
				_, err := core.Of(s).Write(within(t, time.Minute), put(s, "a"))
				if !errors.Is(err, tt.is) || time.Since(start) > 10*time.Second {
					t.Errorf("Write = %v after %v", err, time.Since(start))
				}
				if lost := errors.Is(s.Err(), session.ErrLost); lost != tt.lost {
					t.Errorf("session: %v", s.Err())
				}
			})
		})
	}
}

// TestOneOddAnswer: one wrong answer does not end a session or a write.
func TestOneOddAnswer(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func([]byte) []byte{
		"nothing":         replace(`(?s).*`, `{}`),
		"another cluster": replace(`"cluster_id":"[0-9]+"`, `"cluster_id":"7"`),
		"old":             replace(`"revision":"[0-9]+"`, `"revision":"1"`),
		"no lease":        replace(`,"TTL":"?[0-9]+"?|"TTL":"?[0-9]+"?,`, ``),
		"no record": func(b []byte) []byte {
			header := regexp.MustCompile(`"header":\{[^}]*\}`).Find(b)
			return []byte(`{` + string(header) + `,"responses":[{"response_range":{}}]}`)
		},
	} {
		for _, path := range []string{"/kv/txn", "/kv/range", "/lease/keepalive"} {
			if name == "no lease" && path != "/lease/keepalive" || name == "no record" && path != "/kv/txn" {
				continue
			}
			t.Run(name+" of "+path, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, nil)
					spoiled := 0
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.Path != path || spoiled > 0 {
							return c.Apply()
						}
						spoiled++
						if name == "no record" { // as if the compare had failed
							a := fakeetcd.Answer{Status: 200, Body: c.Apply().Body}
							a.Body = spoil(a.Body)
							return a
						}
						a := c.Apply()
						a.Body = spoil(a.Body)
						return a
					})
					if path == "/kv/range" {
						if err := core.Of(s).Verify(t.Context()); err != nil {
							t.Errorf("Verify = %v", err)
						}
					}
					if out, err := core.Of(s).Write(within(t, time.Minute), put(s, "a")); err != nil ||
						!out.Applied {
						t.Errorf("Write = %+v, %v", out, err)
					}
					time.Sleep(20 * time.Second)
					if err := s.Err(); err != nil || spoiled == 0 {
						t.Errorf("session: %v, %d spoiled", err, spoiled)
					}
				})
			})
		}
	}
}

func replace(pattern, with string) func([]byte) []byte {
	return func(b []byte) []byte { return regexp.MustCompile(pattern).ReplaceAll(b, []byte(with)) }
}

// TestSlowCluster: calls succeed though each answer takes longer than an attempt.
func TestSlowCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			a := c.Apply()
			if strings.HasSuffix(c.Path, "/txn") {
				c.Sleep(1200 * time.Millisecond)
			}
			return a
		})
		for range 2 {
			start := time.Now()
			if _, err := core.Of(s).Write(within(t, time.Minute), put(s, "a")); err != nil {
				t.Errorf("Write = %v after %v", err, time.Since(start))
			}
		}
		etcd.Script(nil)
	})
}

// blockingHandler is a logger whose output is stuck.
type blockingHandler struct{ until chan struct{} }

// Enabled leaves out Info, which is logged in the goroutine of the caller of New or Lock: that
// caller waits for its own logger.
func (blockingHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h blockingHandler) Handle(context.Context, slog.Record) error {
	<-h.until
	return nil
}
func (h blockingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h blockingHandler) WithGroup(string) slog.Handler      { return h }

// TestLoggerBlocks: a logger that blocks does not delay the end of the contexts.
func TestLoggerBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		h := blockingHandler{make(chan struct{})}
		s := open(t, etcd, &session.Options{Logger: slog.New(h)})
		etcd.Freeze()
		time.Sleep(session.DefaultTTL)
		if s.Context().Err() == nil || !errors.Is(s.Err(), session.ErrExpired) {
			t.Errorf("session: %v", s.Err())
		}
		close(h.until)
	})
}

// TestHooksBlock: all hooks and the logger of one session block. The other sessions of the client
// live, also while the server is silent for a while.
func TestHooksBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		h := blockingHandler{make(chan struct{})}
		block := func() { <-h.until }
		started := func(opts *session.Options) *session.Session {
			s, err := session.New(t.Context(), c, opts)
			if err != nil {
				t.Fatal(err)
			}
			closeLater(t, s)
			return s
		}
		all := []*session.Session{started(&session.Options{
			Logger: slog.New(h),
			Hooks: session.Hooks{Renewed: func(time.Duration) {
				block()
			}, Suspect: block, Recovered: block},
		}), started(&session.Options{Logger: slog.New(h)})}
		for range 8 {
			all = append(all, started(nil))
		}
		for range 3 {
			time.Sleep(10 * time.Second)
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
			time.Sleep(6 * time.Second)
			etcd.Script(nil)
		}
		time.Sleep(30 * time.Second)
		for i, s := range all { // also the one whose hooks block
			if err := s.Err(); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		}
		close(h.until)
	})
}

// TestSettleMovesTheEpochOnceItIsOpen: a compensation is not answered, and its repetition is
// rejected. The next try must make the first copy void, though the compensated write itself was
// answered.
func TestSettleMovesTheEpochOnceItIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		txns := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if !strings.HasSuffix(c.Path, "/txn") {
				return c.Apply()
			}
			switch txns++; txns {
			case 1:
				return c.Silence()
			case 2:
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		settled := make(chan struct{})
		core.Of(s).Compensate(core.Write{
			Compensation: core.Deletion("a"),
			OnResolved:   func() { close(settled) },
		})
		<-settled
		if kv, ok := etcd.Get(session.DefaultRecordPrefix + s.Lease().String()); !ok ||
			kv.ModRevision == kv.CreateRevision {
			t.Errorf("the record did not move: %+v", kv)
		}
	})
}
