package gateway_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// TestOutageIsLogged: an outage is logged with one Warn within 5 s, more at growing intervals, and
// one Info at its end, for every fault and every caller.
func TestOutageIsLogged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fail   func(w http.ResponseWriter, r request) // nil: nothing listens
		change func(*gateway.Config)
		try    func(ctx context.Context, c *gateway.Client)
		says   string
	}{
		{name: "nobody listens", says: "connection refused"},
		{
			name: "it hangs", fail: func(_ http.ResponseWriter, r request) { hang(r) },
			says: "no answer in time",
		},
		{
			name: "a proxy's page",
			fail: func(w http.ResponseWriter, _ request) {
				http.Error(w, "",
					http.StatusBadGateway)
			}, says: "HTTP 502",
		},
		{name: "no leader", fail: func(w http.ResponseWriter, _ request) {
			answer(w, http.StatusServiceUnavailable,
				`{"code":14,"message":"etcdserver: no leader"}`)
		}, says: "no leader"},
		{name: "a log-in", fail: func(w http.ResponseWriter, _ request) {
			answer(w, http.StatusServiceUnavailable,
				`{"code":14,"message":"etcdserver: no leader"}`)
		}, change: withUser, says: "authenticate"},
		{
			name: "a wrong password, and renewals", fail: func(w http.ResponseWriter, _ request) {
				answer(w, http.StatusBadRequest,
					`{"code":3,"message":"etcdserver: authentication failed, invalid user ID or `+
						`password"}`)
			}, change: withUser, says: "authentication failed",
			try: func(ctx context.Context, c *gateway.Client) {
				defer c.KeepAlive(gateway.LeaseGrant{ID: 1, TTL: 3 * time.Second, Sent: time.Now()},
					func(gateway.LeaseGrant) {})()
				<-ctx.Done()
			},
		},
		{
			name: "renewals alone", says: "keepalive",
			try: func(ctx context.Context, c *gateway.Client) {
				defer c.KeepAlive(gateway.LeaseGrant{ID: 1, TTL: 6 * time.Second, Sent: time.Now()},
					func(gateway.LeaseGrant) {})()
				<-ctx.Done()
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var well atomic.Bool
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					switch {
					case !well.Load() && tt.fail != nil:
						tt.fail(w, r)
					case strings.HasSuffix(r.URL.Path, "/authenticate"):
						answer(w, http.StatusOK, login)
					default:
						ok(w)
					}
				})
				var l logs
				lines := func(event string) int { return strings.Count(l.String(), event) }
				c := cl.client(t, func(cfg *gateway.Config) {
					cfg.Logger = l.logger()
					if tt.change != nil {
						tt.change(cfg)
					}
					if tt.fail == nil {
						cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn,
							error,
						) {
							if well.Load() {
								return cl.net.Dial(ctx, network, addr)
							}
							return memnet.Network{}.Dial(ctx, network, addr)
						}
					}
				})
				try := tt.try
				if try == nil {
					try = func(ctx context.Context, c *gateway.Client) { _, _ = c.Get(ctx, "k") }
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); try(ctx, c) }()
				time.Sleep(5 * time.Second)
				if n := lines("etcd_out_of_reach"); n != 1 {
					t.Errorf("%d warnings within 5 s, want 1", n)
				}
				time.Sleep(10 * time.Minute)
				if n := lines("etcd_out_of_reach"); n < 4 || n > 8 {
					t.Errorf("%d warnings within 10 minutes", n)
				}
				for line := range strings.Lines(l.String()) {
					if strings.Contains(line, "etcd_out_of_reach") &&
						(!strings.Contains(line, "level=WARN") ||
							!strings.Contains(line, tt.says) ||
							!strings.Contains(line, cl.urls[0])) {
						t.Errorf("%q has not %q or %q", line, tt.says, cl.urls[0])
					}
				}
				well.Store(true)
				time.Sleep(3 * time.Second)
				cancel()
				<-done
				if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
					t.Error(err)
				}
				synctest.Wait() // the log has a goroutine of its own
				if n := lines("level=INFO msg=etcd_within_reach"); n != 1 {
					t.Errorf("%d times over, want 1", n)
				}
				noCanary(t, l.String())
			})
		})
	}
}

// TestHiccupsAreNotLogged: an error is not an outage if another endpoint or the next try succeeds,
// if etcd returned it, or if the caller's context ended the call.
func TestHiccupsAreNotLogged(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(w http.ResponseWriter, r request){
		"one of two members": func(w http.ResponseWriter, r request) {
			if r.member == 0 {
				drop()
			}
			ok(w)
		},
		"every other request": func(w http.ResponseWriter, r request) {
			if r.n%2 == 0 {
				drop()
			}
			ok(w)
		},
		"refusals": func(w http.ResponseWriter, _ request) {
			answer(w, http.StatusForbidden, `{"code":7,"message":"etcdserver: permission denied"}`)
		},
		"the caller's hurry": func(w http.ResponseWriter, r request) {
			if r.URL.Path == "/v3/kv/put" {
				hang(r)
			}
			ok(w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l logs
				c := newCluster(t, 2, handle).client(t, func(cfg *gateway.Config) {
					cfg.Logger = l.logger()
				})
				for range 100 {
					_, _ = c.Get(within(t, time.Minute), "k")
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					_, _ = c.Put(ctx, "k", nil)
					cancel()
					time.Sleep(100 * time.Millisecond)
				}
				if strings.Contains(l.String(), "reach") {
					t.Error(l.String())
				}
			})
		})
	}
}
