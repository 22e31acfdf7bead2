package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// odd are answers that would end everything that a client holds, if they were right.
var odd = map[string]struct {
	body string
	is   error
}{
	"nothing":         {`{}`, gateway.ErrProtocol},
	"no cluster":      {`{"header":{"revision":"5"}}`, gateway.ErrProtocol},
	"no revision":     {`{"header":{"cluster_id":"14841639068965178418"}}`, gateway.ErrProtocol},
	"another cluster": {`{"header":{"cluster_id":"7","revision":"5"}}`, gateway.ErrClusterMismatch},
	"an old revision": {
		`{"header":{"cluster_id":"14841639068965178418","revision":"3"}}`,
		gateway.ErrRevisionRegressed,
	},
}

// TestAfterAnOddAnswerAnotherMemberIsAsked: after one member's odd answer another member is asked,
// or the only one a little later.
func TestAfterAnOddAnswerAnotherMemberIsAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range odd {
		for _, members := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s of %d", name, members), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var spoiled atomic.Int64 // number of further odd answers
					cl := newCluster(t, members, func(w http.ResponseWriter, _ request) {
						if spoiled.Add(-1) >= 0 {
							answer(w, 200, tt.body)
							return
						}
						answer(w, 200, `{`+header+`,"kvs":[{"key":"aw==","create_revision":"5",`+
							`"mod_revision":"5","version":"1"}],"count":"1"}`)
					})
					c := cl.client(t)
					get := func() error {
						r, err := c.Get(within(t, time.Minute), "k")
						if err == nil && len(r.KVs) != 1 {
							t.Errorf("Get = %+v", r)
						}
						return err
					}
					if err := get(); err != nil {
						t.Fatal(err)
					}
					spoiled.Store(1)
					if err := get(); err != nil {
						t.Errorf("one odd answer: %v", err)
					}
					spoiled.Store(1 << 30)
					start := time.Now()
					wantErr(t, get(), list(tt.is), list(context.DeadlineExceeded))
					if took := time.Since(start); took > time.Second {
						t.Errorf("took %v", took)
					}
				})
			})
		}
	}
}

// TestOneMembersReportEndsNoLease: one member's report that a live lease is gone is ignored. A
// lease that is gone is reported after one more request.
func TestOneMembersReportEndsNoLease(t *testing.T) {
	t.Parallel()
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var spoiled atomic.Int64
				cl := newCluster(t, members, func(w http.ResponseWriter, r request) {
					ttl := 9
					if spoiled.Add(-1) >= 0 {
						ttl = 0
					}
					renewAll(t, w, r, ttl)
				})
				c := cl.client(t)
				spoiled.Store(1)
				g, _ := keep(c, 1, 9*time.Second)
				time.Sleep(4 * time.Second)
				if got := g.all(); len(got) != 1 || got[0].TTL != 9*time.Second {
					t.Errorf("one odd answer: %+v", got)
				}
				if m := cl.members(); members > 1 && (len(m) != 2 || m[0] == m[1]) {
					t.Errorf("asked %v", m)
				}
				spoiled.Store(1)
				if _, err := c.KeepAliveOnce(within(t, time.Minute), 1); err != nil {
					t.Errorf("KeepAlive = %v", err)
				}
				spoiled.Store(2)
				time.Sleep(4 * time.Second)
				if got := g.last(); got.TTL != 0 {
					t.Errorf("gone: %+v", got)
				}
			})
		})
	}
}

// stuck is a logger that blocks at every level.
type stuck struct{ until chan struct{} }

func (stuck) Enabled(context.Context, slog.Level) bool    { return true }
func (s stuck) Handle(context.Context, slog.Record) error { <-s.until; return nil }
func (s stuck) WithAttrs([]slog.Attr) slog.Handler        { return s }
func (s stuck) WithGroup(string) slog.Handler             { return s }
func (s stuck) attempt(context.Context, gateway.Attempt)  { <-s.until }
func (s stuck) opened(string)                             { <-s.until }
func (s stuck) ended(string, time.Duration, error)        { <-s.until }
func (s stuck) hooks() gateway.Hooks {
	return gateway.Hooks{Attempt: s.attempt, StreamOpened: s.opened, StreamEnded: s.ended}
}

// TestNobodyWaitsForAHook: the owner of one lease, every hook and the logger are stuck. The other
// leases are renewed, their owners are notified, and watches continue.
func TestNobodyWaitsForAHook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := stuck{make(chan struct{})}
		var failing atomic.Int64
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			switch {
			case r.URL.Path == "/v3/watch":
				createWatch(w, r.Request)
			case failing.Add(1)%3 == 0: // something to log
				drop()
			default:
				renewAll(t, w, r, 9)
			}
		})
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.Hooks, cfg.Logger = s.hooks(), slog.New(s)
		})
		defer func() { close(s.until); synctest.Wait() }()
		c.KeepAlive(gateway.LeaseGrant{ID: 1, TTL: 9 * time.Second, Sent: time.Now()},
			func(gateway.LeaseGrant) { <-s.until })
		var all []*grants
		for id := range gateway.LeaseID(5) {
			g, _ := keep(c, id+2, 9*time.Second)
			all = append(all, g)
		}
		stood := make(chan struct{}, 10)
		stop, err := c.WatchFunc("a", func(gateway.WatchResponse) { stood <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		select {
		case <-stood:
		case <-time.After(time.Second):
			t.Error("no watch")
		}
		time.Sleep(time.Minute)
		for i, g := range all {
			if n, last := len(g.all()), time.Since(g.last().Sent); n < 15 || last > 4*time.Second {
				t.Errorf("the owner of lease %d heard %d times, last %v ago", i, n, last)
			}
		}
	})
}

// TestASlowOwnerReceivesTheNewestAnswer: a slow owner receives the newest answer when it returns.
func TestASlowOwnerReceivesTheNewestAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) { renewAll(t, w, r, 9) })
		var mu sync.Mutex
		var heard []time.Duration
		start := time.Now()
		stop := cl.client(t).KeepAlive(gateway.LeaseGrant{ID: 1, TTL: 9 * time.Second, Sent: start},
			func(g gateway.LeaseGrant) {
				mu.Lock()
				heard = append(heard, g.Sent.Sub(start))
				mu.Unlock()
				time.Sleep(8 * time.Second)
			})
		time.Sleep(20 * time.Second)
		stop()
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(heard); !strings.HasPrefix(got, "[3s 9s 18s") {
			t.Errorf("heard of %v", heard)
		}
	})
}
