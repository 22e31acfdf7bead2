package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
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

// TestADefiniteErrorEndsACallAtOnce: they end a call at once, and a write with one was not applied.
func TestADefiniteErrorEndsACallAtOnce(t *testing.T) {
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
		{
			400, 11, "etcdserver: mvcc: required revision is a future revision",
			list(gateway.ErrFutureRevision),
		},
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

// TestAWriteThatNoEndpointReceivedIsDefinite: the error of a write that no endpoint received is
// definite, and still matches the context's.
func TestAWriteThatNoEndpointReceivedIsDefinite(t *testing.T) {
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

// TestTheTimeLimitOfADialerIsNoDeadline: a dialer's own time limit is not the caller's deadline.
func TestTheTimeLimitOfADialerIsNoDeadline(t *testing.T) {
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

// TestRetriesSpareAClusterThatIsDown: the first retries follow soon, and later ones at intervals
// that spare a cluster that is down.
func TestRetriesSpareAClusterThatIsDown(t *testing.T) {
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

// TestANoSpaceErrorMayHideAnAppliedWrite: etcd applies a write that was in progress when the space
// ran out, and returns the error all the same.
func TestANoSpaceErrorMayHideAnAppliedWrite(t *testing.T) {
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

// TestAttemptsGrowOnASlowNetwork: attempts of a read last longer and longer on a slow network.
// After that, attempts of a write do too.
func TestAttemptsGrowOnASlowNetwork(t *testing.T) {
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

// TestAWriteIsNotRepeatedOnADeadConnection: net/http must not send a POST again when a kept-alive
// connection turns out to be dead.
func TestAWriteIsNotRepeatedOnADeadConnection(t *testing.T) {
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

// TestAClosedIdleConnectionFailsNoWrite: a connection that the server closed while it was idle does
// not make a write fail.
func TestAClosedIdleConnectionFailsNoWrite(t *testing.T) {
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
