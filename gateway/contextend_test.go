package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

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
								} else if !uncertain && tt.write && after > 0 && !user &&
									hole.sent {
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
