package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// etcdError is an error in the format of etcd 3.6.
func etcdError(w http.ResponseWriter, status, code int, message string) {
	answer(w, status, fmt.Sprintf(`{"code":%d,"message":%q}`, code, message))
}

// firstN fails the first n requests in one way.
func firstN(n int, fail func(w http.ResponseWriter, r request)) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, r request) {
		if r.n < n {
			fail(w, r)
			return
		}
		ok(w)
	}
}

func says(status, code int, message string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) { etcdError(w, status, code, message) }
}

func dropped(http.ResponseWriter, request) { drop() }

func silent(_ http.ResponseWriter, r request) { hang(r) }

// TestReadGoesOn: a read is retried at the next endpoint after every temporary fault.
func TestReadGoesOn(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, request){
		"lost answer":        dropped,
		"no answer":          silent,
		"no leader":          says(503, 14, "etcdserver: no leader"),
		"leader changed":     says(503, 14, "etcdserver: leader changed"),
		"timed out":          says(503, 14, "etcdserver: request timed out"),
		"deadline":           says(504, 4, "context deadline exceeded"),
		"deadline of 3.4":    says(500, 2, "context deadline exceeded"),
		"not primary lessor": says(500, 2, "not a primary lessor"),
		"too many requests":  says(429, 8, "etcdserver: too many requests"),
		"proxy":              html(502),
		"short body":         body("{"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 3, firstN(2, fail))
				start := time.Now()
				if _, err := cl.client(t).Get(within(t, time.Minute), "k"); err != nil {
					t.Error(err)
				}
				m := cl.members()
				slices.Sort(m)
				if !slices.Equal(m, []int{0, 1, 2}) {
					t.Errorf("asked %v, want each member once", cl.members())
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestWriteOfUnknownFate: the write is sent exactly once.
func TestWriteOfUnknownFate(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, request){
		"lost answer":    dropped,
		"no answer":      silent,
		"leader changed": says(503, 14, "etcdserver: leader changed"),
		"timed out":      says(503, 14, "etcdserver: request timed out"),
		"timed out, leader": says(503, 14,
			"etcdserver: request timed out, possibly due to previous leader failure"),
		"server stopped":   says(503, 14, "etcdserver: server stopped"),
		"deadline":         says(504, 4, "context deadline exceeded"),
		"deadline of 3.4":  says(500, 2, "context deadline exceeded"),
		"canceled":         says(499, 1, "context canceled"),
		"internal":         says(500, 13, "transport: oops"),
		"not quite leader": says(503, 14, "no leader"),
		"proxy":            html(503),
		"junk":             body("{"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 3, func(w http.ResponseWriter, r request) { fail(w, r) })
				c := cl.client(t)
				writes := map[string]func(context.Context) error{
					"put": func(ctx context.Context) error {
						_, err := c.Put(ctx, "k", nil)
						return err
					},
					"delete": func(ctx context.Context) error {
						_, err := c.Delete(ctx, "k")
						return err
					},
					"txn": func(ctx context.Context) error {
						_, err := c.Txn(ctx, gateway.Txn{
							Then: []gateway.Op{gateway.OpGet("k")},
							Else: []gateway.Op{gateway.OpPut("k", nil)},
						})
						return err
					},
				}
				sent := 0
				for op, write := range writes {
					err := write(within(t, time.Minute))
					wantErr(t, err, list(gateway.ErrUncertain),
						list(context.DeadlineExceeded, context.Canceled))
					if e, isTyped := errors.AsType[*gateway.Error](err); !isTyped ||
						e.Op != op || e.Endpoint == "" {
						t.Errorf("%s: %#v", op, err)
					}
					if sent++; len(cl.requests()) != sent {
						t.Errorf("%s was sent %d times", op, len(cl.requests())-sent+1)
						sent = len(cl.requests())
					}
				}
			})
		})
	}
}

// TestDefiniteErrors: they end a call at once, and a write with one was not applied.
func TestDefiniteErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, code int
		message      string
		is           []error
	}{
		{
			400, 11, "etcdserver: mvcc: required revision has been compacted",
			list(gateway.ErrCompacted),
		},
		{400, 11, "etcdserver: mvcc: required revision is a future revision", nil},
		{404, 5, "etcdserver: requested lease not found", list(gateway.ErrLeaseNotFound)},
		{400, 3, "etcdserver: duplicate key given in txn request", list(gateway.ErrInvalid)},
		{403, 7, "etcdserver: permission denied", list(gateway.ErrPermissionDenied)},
		{429, 8, "grpc: received message larger than max (3000010 vs. 2097152)", nil},
		{412, 9, "etcdserver: authentication is not enabled", nil},
		{400, 3, "etcdserver: user name is empty", list(gateway.ErrUnauthenticated)},
		{401, 16, "etcdserver: invalid auth token", list(gateway.ErrUnauthenticated)},
		{400, 3, "etcdserver: revision of auth store is old", list(gateway.ErrUnauthenticated)},
	} {
		t.Run(tt.message, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 3, func(w http.ResponseWriter, r request) {
					if r.n%2 == 0 { // the format of 3.4 and 3.5
						answer(w, tt.status,
							fmt.Sprintf(`{"error":%q,"message":%q,"code":%d}`,
								tt.message, tt.message, tt.code))
						return
					}
					etcdError(w, tt.status, tt.code, tt.message)
				})
				c := cl.client(t)
				_, getErr := c.Get(within(t, time.Minute), "k")
				_, putErr := c.Put(within(t, time.Minute), "k", nil)
				for _, err := range []error{getErr, putErr} {
					wantErr(t, err, tt.is,
						list(gateway.ErrUncertain, gateway.ErrUnavailable,
							context.DeadlineExceeded))
					e, _ := errors.AsType[*gateway.Error](err)
					if e == nil || int(e.Code) != tt.code || e.Message != tt.message {
						t.Errorf("%#v", err)
					}
				}
				if n := len(cl.requests()); n != 2 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// TestRefusedWriteGoesOn: a write that cannot have been applied is sent again.
func TestRefusedWriteGoesOn(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, request){
		"no leader":         says(503, 14, "etcdserver: no leader"),
		"too many requests": says(429, 8, "etcdserver: too many requests"),
		"not etcd":          text(404, "404 page not found"),
		"rate limit":        text(429, "slow down"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, firstN(1, fail))
				if _, err := cl.client(t).Put(within(t, time.Minute), "k", nil); err != nil {
					t.Error(err)
				}
				// An endpoint without such a path is asked for its version.
				if m := slices.Compact(cl.members()); len(m) != 2 || m[0] == m[1] {
					t.Errorf("asked %v", m)
				}
			})
		})
	}
}

func TestRefusedConnectionGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
		for range 20 { // the first endpoint is random
			c := cl.client(t, func(cfg *gateway.Config) {
				cfg.Endpoints = []string{"http://down:1", cl.urls[0], "http://down:2"}
			})
			start := time.Now()
			if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("took %v: an endpoint that was not asked yet needs no pause", took)
			}
		}
		if n := len(cl.requests()); n != 20 {
			t.Errorf("%d requests for 20 writes", n)
		}
	})
}

// TestAllRefused: the error of a write that no endpoint received is definite, and still matches the
// context's.
func TestAllRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, gateway.Config{
			Endpoints: []string{"http://a:1", "http://b:1"}, DialContext: memnet.Network{}.Dial,
		})
		_, err := c.Put(within(t, 10*time.Second), "k", nil)
		wantErr(t, err, list(context.DeadlineExceeded, gateway.ErrUnavailable),
			list(gateway.ErrUncertain))
		if err != nil && !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%q does not say why", err)
		}
	})
}

// TestDialTimeLimit: a dialer's own time limit is not the caller's deadline.
func TestDialTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, gateway.Config{
			Endpoints: []string{"http://a:1"},
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		_, err := c.Get(ctx, "k")
		wantErr(t, err, list(context.Canceled, gateway.ErrUnavailable),
			list(context.DeadlineExceeded))
	})
}

// TestBackOff: the first retries follow soon, and later ones at intervals that spare a cluster that
// is down.
func TestBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			etcdError(w, 503, 14, "etcdserver: no leader")
		})
		var sent []time.Duration
		start := time.Now()
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
				sent = append(sent, time.Since(start))
				return reply(503, `{"code":14,"message":"etcdserver: no leader"}`), nil
			})
		})
		_, _ = c.Get(within(t, time.Minute), "k")
		if len(sent) < 60 || len(sent) > 120 {
			t.Errorf("%d requests in a minute", len(sent))
		}
		if len(sent) > 5 && sent[4] > time.Second {
			t.Errorf("the first five went at %v", sent[:5])
		}
	})
}

// TestNoSpace: etcd applies a write that was in progress when the space ran out, and returns the
// error all the same.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 3, func(w http.ResponseWriter, _ request) {
			etcdError(w, 429, 8, "etcdserver: mvcc: database space exceeded")
		})
		_, err := cl.client(t).Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrNoSpace, gateway.ErrUncertain),
			list(gateway.ErrUnavailable, context.DeadlineExceeded))
		if n := len(cl.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestAttemptsGrow: attempts of a read last longer and longer on a slow network. After that,
// attempts of a write do too.
func TestAttemptsGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			time.Sleep(6 * time.Second)
			ok(w)
		})
		c := cl.client(t)
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Error(err)
		}
		if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
			t.Error(err)
		}
		c = cl.client(t)
		start := time.Now()
		_, err := c.Put(within(t, time.Minute), "k", nil) // nothing is known yet
		wantErr(t, err, list(gateway.ErrUncertain, gateway.ErrUnavailable),
			list(context.DeadlineExceeded))
		if took := time.Since(start); took != time.Second {
			t.Errorf("the write took %v", took)
		}
	})
}

// TestDeadConnection: net/http must not send a POST again when a kept-alive connection turns out to
// be dead.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			if r.n == 1 {
				drop()
			}
			ok(w)
		})
		dials := 0
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials++
				return cl.net.Dial(ctx, network, addr)
			}
		})
		if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
			t.Fatal(err)
		}
		_, err := c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrUncertain), nil)
		if n := len(cl.requests()); n != 2 || dials != 1 {
			t.Errorf("%d requests over %d connections", n, dials)
		}
	})
}

// TestIdleConnectionClosed: a connection that the server closed while it was idle does not make a
// write fail.
func TestIdleConnectionClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, raw(func(conn net.Conn) {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{%s}",
				len(header)+2, header)
			time.Sleep(time.Second)
		}))
		c := cl.client(t)
		for range 3 {
			if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

func TestGrantAfterLostAnswer(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(http.ResponseWriter, request){
		"dropped": dropped, "garbled": body("{"), "late": silent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var renewed time.Time
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					switch {
					case r.n == 0:
						lose(w, r)
					case r.URL.Path == "/v3/lease/grant":
						time.Sleep(100 * time.Millisecond)
						etcdError(w, 400, 9, "etcdserver: lease already exists")
					default:
						renewed = time.Now()
						time.Sleep(100 * time.Millisecond)
						answer(w, 200, `{"result":{`+header+`,"ID":"77","TTL":"5"}}`+"\n")
					}
				})
				g, err := cl.client(t).Grant(within(t, time.Minute), 77, 5*time.Second)
				if err != nil || g.ID != 77 || g.TTL != 5*time.Second || !g.Sent.Equal(renewed) {
					t.Errorf("got %+v, %v; want it from the renewal that was sent at %v",
						g, err, renewed)
				}
			})
		})
	}
}

// TestGrantOfSomebodyElse: without a lost answer, "already exists" is an error.
func TestGrantOfSomebodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, firstN(1, says(400, 9, "etcdserver: lease already exists")))
		_, err := cl.client(t).Grant(within(t, time.Minute), 77, 5*time.Second)
		wantErr(t, err, nil, list(gateway.ErrUncertain))
	})
}

func TestRevokeAfterLostAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := says(404, 5, "etcdserver: requested lease not found")
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if r.n == 0 {
				drop()
			}
			gone(w, r)
		})
		c := cl.client(t)
		if err := c.Revoke(within(t, time.Minute), 77); err != nil {
			t.Errorf("the revoke whose answer was lost had worked, got %v", err)
		}
		wantErr(t, c.Revoke(within(t, time.Minute), 77), list(gateway.ErrLeaseNotFound),
			list(gateway.ErrUncertain))
	})
}

// TestRepeatedWriteIsUncertain: a grant, revoke or compaction that was sent and never answered may
// have been applied, even if a later try was rejected.
func TestRepeatedWriteIsUncertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := newCluster(t, 1, dropped)
		_, err := lost.client(t).Grant(within(t, 3*time.Second), 77, 5*time.Second)
		wantErr(t, err, list(gateway.ErrUncertain, context.DeadlineExceeded), nil)
		err = lost.client(t).Revoke(within(t, 3*time.Second), 77)
		wantErr(t, err, list(gateway.ErrUncertain, context.DeadlineExceeded), nil)

		full := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if r.n == 0 {
				drop()
			}
			etcdError(w, 429, 8, "etcdserver: mvcc: database space exceeded")
		})
		_, err = full.client(t).Grant(within(t, time.Minute), 77, 5*time.Second)
		wantErr(t, err, list(gateway.ErrUncertain), list(context.DeadlineExceeded))

		refused := newCluster(t, 1, says(503, 14, "etcdserver: no leader"))
		_, err = refused.client(t).Grant(within(t, 3*time.Second), 77, 5*time.Second)
		wantErr(t, err, list(gateway.ErrUnavailable, context.DeadlineExceeded),
			list(gateway.ErrUncertain))
	})
}

// calls are all calls that a context ends. A call with write set is uncertain then.
var calls = []struct {
	name  string
	write bool
	call  func(ctx context.Context, c *gateway.Client) error
}{
	{"get", false, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Get(ctx, "k")
		return err
	}},
	{"put", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Put(ctx, "k", nil)
		return err
	}},
	{"delete", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Delete(ctx, "k")
		return err
	}},
	{"txn", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("k", nil)}})
		return err
	}},
	{"compact", true, func(ctx context.Context, c *gateway.Client) error {
		return c.Compact(ctx, 3)
	}},
	{"grant", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Grant(ctx, 0, time.Minute)
		return err
	}},
	{"revoke", true, func(ctx context.Context, c *gateway.Client) error {
		return c.Revoke(ctx, 7)
	}},
	{"keepalive", false, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.KeepAliveOnce(ctx, 7)
		return err
	}},
	{"timetolive", false, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.TimeToLive(ctx, 7, true)
		return err
	}},
	{"leases", false, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Leases(ctx)
		return err
	}},
	{"watch", false, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Watch(ctx, "k")
		return err
	}},
	{"watch once", false, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.WatchOnce(ctx, "k")
		return err
	}},
	{"compact for good", true, func(ctx context.Context, c *gateway.Client) error {
		return c.Compact(ctx, 3, gateway.Physical())
	}},
	{"create", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Create(ctx, "k", nil)
		return err
	}},
	{"update", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.PutIfExists(ctx, "k", nil)
		return err
	}},
	{"replace", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.CompareAndSwap(ctx, "k", nil, nil)
		return err
	}},
	{"replace at", true, func(ctx context.Context, c *gateway.Client) error {
		_, err := c.UpdateRevision(ctx, "k", 3, nil)
		return err
	}},
	{"pages", false, func(ctx context.Context, c *gateway.Client) error {
		return lastError(c.Pages(ctx, "k", 7, gateway.Prefix()))
	}},
	// It reads before it writes.
	{"put sequential", false, func(ctx context.Context, c *gateway.Client) error {
		_, _, err := c.PutSequential(ctx, "k", nil)
		return err
	}},
}

func lastError(pages iter.Seq2[gateway.Page, error]) (err error) {
	for _, err = range pages {
	}
	return err
}

// blackHoles are links that lose everything.
var blackHoles = []struct {
	name string
	sent bool // a request can be sent
	dial func(t *testing.T) func(ctx context.Context, network, addr string) (net.Conn, error)
}{
	{
		"no connection", false,
		func(*testing.T) func(context.Context, string, string) (net.Conn, error) {
			return memnet.Listen().Dial
		},
	},
	{
		"nothing is read", true,
		func(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
			t.Helper()
			return func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				t.Cleanup(func() { server.Close() })
				return client, nil
			}
		},
	},
	{
		"everything is read", true,
		func(*testing.T) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, server) }()
				return client, nil
			}
		},
	},
}

// TestContextEndsEveryCall: each call ends at once, even on a link that loses everything.
func TestContextEndsEveryCall(t *testing.T) {
	t.Parallel()
	cause := errors.New("the caller's reason")
	for _, hole := range blackHoles {
		for _, tt := range calls {
			for _, after := range []time.Duration{
				0, 300 * time.Millisecond,
				1300 * time.Millisecond, 20 * time.Second,
			} {
				for _, user := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%v/%v", hole.name, tt.name, after, user),
						func(t *testing.T) {
							t.Parallel()
							synctest.Test(t, func(t *testing.T) {
								cfg := gateway.Config{
									Endpoints:   []string{"http://a:1", "http://b:1"},
									DialContext: hole.dial(t),
								}
								if user {
									withUser(&cfg)
								}
								c := newClient(t, cfg)
								ctx, cancel := context.WithCancelCause(t.Context())
								defer cancel(nil)
								if after == 0 {
									cancel(cause)
								}
								time.AfterFunc(after, func() { cancel(cause) })
								start := time.Now()
								err := tt.call(ctx, c)
								took := time.Since(start)
								if tt.write && errors.Is(err, gateway.ErrUncertain) &&
									!errors.Is(err, context.Canceled) && took == time.Second {
									return // one attempt, with an unknown outcome
								}
								wantErr(t, err, list(context.Canceled, cause),
									list(context.DeadlineExceeded))
								if took != after {
									t.Errorf("returned after %v, the context had ended after %v",
										took, after)
								}
								if uncertain := errors.Is(err, gateway.ErrUncertain); uncertain &&
									(!tt.write || after == 0 || user) {
									t.Errorf("%q: no write was sent", err)
								} else if !uncertain && tt.write && after > 0 && !user && hole.sent {
									t.Errorf("%q: the write may have been applied", err)
								}
							})
						})
				}
			}
		}
	}
}

// TestCloseEndsEveryCall: each call ends at once.
func TestCloseEndsEveryCall(t *testing.T) {
	t.Parallel()
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, silent)
				c := cl.client(t)
				time.AfterFunc(500*time.Millisecond, func() { _ = c.Close() })
				start := time.Now()
				err := tt.call(t.Context(), c)
				wantErr(t, err, list(gateway.ErrClosed),
					list(context.Canceled, context.DeadlineExceeded))
				if took := time.Since(start); took != 500*time.Millisecond {
					t.Errorf("returned after %v", took)
				}
				if got := errors.Is(err, gateway.ErrUncertain); got != tt.write {
					t.Errorf("uncertain = %v: %q", got, err)
				}
				wantErr(t, tt.call(t.Context(), c), list(gateway.ErrClosed),
					list(gateway.ErrUncertain))
			})
		})
	}
}

func TestClusterMismatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var id atomic.Int64
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			answer(w, 200,
				fmt.Sprintf(`{"header":{"cluster_id":"%d","revision":"5"}}`, uint64(id.Load())))
		})
		c := cl.client(t)
		id.Store(-5) // larger than any int64
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Fatal(err)
		}
		id.Store(8)
		_, err := c.Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrClusterMismatch), list(context.DeadlineExceeded))
		_, err = c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrClusterMismatch, gateway.ErrUncertain), nil)
		id.Store(0) // an answer without an ID
		_, err = c.Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrProtocol), list(context.DeadlineExceeded))
	})
}

func TestRevisionRegression(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rev atomic.Int64
		release := make(chan struct{})
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			now := rev.Load()
			if strings.Contains(r.body, "c2xvdw==") { // "slow"
				<-release
			}
			answer(w, 200, fmt.Sprintf(`{"header":{"cluster_id":"7","revision":"%d"}}`, now))
		})
		c := cl.client(t)
		get := func(key string, opts ...gateway.Option) error {
			_, err := c.Get(within(t, time.Minute), key, opts...)
			return err
		}
		rev.Store(10)
		slow := make(chan error)
		go func() { slow <- get("slow") }()
		synctest.Wait()
		rev.Store(20)
		if err := get("k"); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-slow; err != nil {
			t.Errorf("an answer of 10 to a request that was sent before 20 was known: %v", err)
		}
		rev.Store(19)
		for name, err := range map[string]error{
			"serializable": get("k", gateway.Serializable()),
			"of the past":  get("k", gateway.AtRevision(3)),
			"empty": func() error {
				_, err := c.Txn(within(t, time.Minute), gateway.Txn{})
				return err
			}(),
		} {
			if err != nil {
				t.Errorf("a %s read may be behind, got %v", name, err)
			}
		}
		wantErr(t, get("k"), list(gateway.ErrRevisionRegressed), list(context.DeadlineExceeded))
		_, err := c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrRevisionRegressed, gateway.ErrUncertain), nil)
		rev.Store(20)
		if err := get("k"); err != nil {
			t.Error(err)
		}
	})
}
