package core_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// canary is a value that a program writes, and that must not be in any error or log line.
const canary = "canary-value"

// lines collects the log at every level.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestValuesNeverShow: no written value is in the error of a write, or in the log of a session and
// its client, however the write ends.
func TestValuesNeverShow(t *testing.T) {
	t.Parallel()
	type fate struct {
		name string
		lose func(c *fakeetcd.Call) fakeetcd.Answer
	}
	fates := []fate{
		{"refused", func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() }},
		{"no space", func(*fakeetcd.Call) fakeetcd.Answer {
			return fakeetcd.Error(gateway.CodeResourceExhausted, "etcdserver: mvcc: database space exceeded")
		}},
		{"echoed", func(c *fakeetcd.Call) fakeetcd.Answer {
			return fakeetcd.Answer{Status: 200, Body: c.Body}
		}},
		{"echoed by a proxy", func(c *fakeetcd.Call) fakeetcd.Answer {
			return fakeetcd.Answer{Status: 502, Body: append([]byte("bad gateway "), c.Body...)}
		}},
		{"lease gone", func(*fakeetcd.Call) fakeetcd.Answer {
			return fakeetcd.Error(gateway.CodeNotFound, "etcdserver: requested lease not found")
		}},
	}
	for _, loss := range losses {
		fates = append(fates, fate(loss))
	}
	for _, f := range fates {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l lines
				logger := slog.New(slog.NewTextHandler(&l, &slog.HandlerOptions{Level: slog.LevelDebug}))
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, &session.Options{Logger: logger, Name: "somebody"})
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn(canary) {
						return f.lose(c)
					}
					return c.Apply()
				})
				op := gateway.OpPut("k", []byte(canary), gateway.WithLease(s.Lease()))
				var texts []string
				note := func(err error) {
					if err != nil {
						texts = append(texts, fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
					}
				}
				_, err := core.Of(s).Write(within(t, 3*time.Second), core.Write{
					Then: []gateway.Op{op}, Compensation: core.Deletion("k"),
				})
				note(err)
				_, err = s.Txn(within(t, 3*time.Second), gateway.Txn{Then: []gateway.Op{op}})
				note(err)
				if len(texts) == 0 {
					t.Error("no write failed")
				}
				etcd.Freeze()
				time.Sleep(session.DefaultTTL)
				note(s.Err())
				note(context.Cause(s.Context()))
				texts = append(texts, l.String())
				if !strings.Contains(l.String(), "session_lost") {
					t.Error("nothing was logged, and so nothing was looked at")
				}
				for _, secret := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))} {
					for _, text := range texts {
						if strings.Contains(text, secret) {
							t.Errorf("%q shows in %q", secret, text)
						}
					}
				}
			})
		})
	}
}
