package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// lookupOf resolves every name to these addresses.
func lookupOf(addrs ...string) func(context.Context, string, string) ([]netip.Addr, error) {
	return func(context.Context, string, string) ([]netip.Addr, error) {
		var list []netip.Addr
		for _, a := range addrs {
			list = append(list, netip.MustParseAddr(a))
		}
		return list, nil
	}
}

// TestADeadAddressCostsAQuarterOfASecond: each dead address before a working one costs a quarter of
// a second, and no write becomes uncertain.
func TestADeadAddressCostsAQuarterOfASecond(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		addrs []string
		took  time.Duration
	}{
		{"first dead", []string{"10.0.0.1", "10.0.0.9"}, 250 * time.Millisecond},
		{"two dead", []string{"10.0.0.1", "10.0.0.2", "10.0.0.9"}, 500 * time.Millisecond},
		{"first refuses", []string{"10.0.0.3", "10.0.0.9"}, 0},
		{
			"the other family dead",
			[]string{"2001:db8::1", "2001:db8::2", "10.0.0.9"},
			250 * time.Millisecond,
		},
		{"IPv6 alone alive", []string{"10.0.0.1", "2001:db8::9"}, 250 * time.Millisecond},
		{"all well", []string{"10.0.0.9", "10.0.0.1"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
				dead := memnet.Listen() // nothing accepts there
				hosts := memnet.Network{
					"10.0.0.9:2379": cl.net["m0:2379"], "[2001:db8::9]:2379": cl.net["m0:2379"],
					"10.0.0.1:2379": dead, "10.0.0.2:2379": dead, "[2001:db8::1]:2379": dead,
					"[2001:db8::2]:2379": dead,
				}
				c := newClient(t, gateway.Config{
					Endpoints:   []string{"http://etcd.test:2379"},
					DialContext: gateway.DialAddresses(hosts.Dial, lookupOf(tt.addrs...)),
				})
				began := time.Now()
				if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if n := len(cl.requests()); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// TestAWriteThatWasNeverSentIsNotUncertain: a write that cannot have been sent is never uncertain.
func TestAWriteThatWasNeverSentIsNotUncertain(t *testing.T) {
	t.Parallel()
	// accepts, and sends nothing
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, peer := net.Pipe()
		go func() {
			defer peer.Close()
			_, _ = io.Copy(io.Discard, peer)
		}()
		return conn, nil
	}
	for _, tt := range []struct {
		name, url string
		dial      func(ctx context.Context, network, addr string) (net.Conn, error)
		says      string
	}{
		{"black hole", "http://a:1", memnet.Listen().Dial, "no connection in time"},
		{"refused", "http://a:1", memnet.Network{}.Dial, "connection refused"},
		{
			"no such host", "http://a:1", gateway.DialAddresses(memnet.Network{}.Dial, lookupOf()),
			"no such host",
		},
		{
			"several addresses, all dead", "http://a:1",
			gateway.DialAddresses(memnet.Network{}.Dial, lookupOf("10.0.0.1", "::1")), "refused",
		},
		{"no TLS handshake", "https://a:1", silent, "no connection in time"},
		{
			"a dialer's own error", "http://a:1",
			func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("the tunnel is down")
			}, "tunnel is down",
		},
	} {
		for _, patience := range []time.Duration{
			300 * time.Millisecond,
			1500 * time.Millisecond, 20 * time.Second,
		} {
			t.Run(tt.name+"/"+patience.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					dial := tt.dial
					if tt.name == "black hole" {
						dial = memnet.Listen().Dial // a listener of this bubble
					}
					c := newClient(t, gateway.Config{
						Endpoints: []string{tt.url}, DialContext: dial,
					})
					_, err := c.Put(within(t, patience), "k", nil)
					wantErr(t, err, list(context.DeadlineExceeded), list(gateway.ErrUncertain))
					if patience == 1500*time.Millisecond && err != nil &&
						!strings.Contains(err.Error(), tt.says) {
						t.Errorf("%q does not say %q", err, tt.says)
					}
				})
			})
		}
	}
}

// TestASlowConnectionIsAskedOnce: an endpoint is reached, and asked once, even if connecting takes
// longer than an attempt may.
func TestASlowConnectionIsAskedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			// nearly the time of an attempt, which begins with the connection
			time.Sleep(900 * time.Millisecond)
			ok(w)
		})
		c := newClient(t, gateway.Config{
			Endpoints: cl.urls,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				time.Sleep(3 * time.Second)
				return cl.net.Dial(ctx, network, addr)
			},
		})
		if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
			t.Error(err)
		}
		if n := len(cl.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestDialsEndWithTheClient: Close ends a dial for which no request waits any longer.
func TestDialsEndWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		c := newClient(t, gateway.Config{
			Endpoints: []string{"http://a:1"},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			},
		})
		_, err := c.Put(within(t, 100*time.Millisecond), "k", nil)
		wantErr(t, err, list(context.DeadlineExceeded), list(gateway.ErrUncertain))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
}

// TestIdleConnectionsAreClosedInTime: idle connections are closed before a load balancer closes
// them.
func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		idle, rest time.Duration
		conns      int32
	}{
		{"below the default", 0, 49 * time.Second, 1},
		{"above the default", 0, 51 * time.Second, 3},
		{"above a setting", 10 * time.Second, 11 * time.Second, 3},
		{"below a setting", 2 * time.Minute, 110 * time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
				var conns atomic.Int32
				c := newClient(t, gateway.Config{
					Endpoints: cl.urls, IdleTimeout: tt.idle,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						conns.Add(1)
						return cl.net.Dial(ctx, network, addr)
					},
				})
				for range 3 {
					if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
						t.Error(err)
					}
					time.Sleep(tt.rest)
				}
				if n := conns.Load(); n != tt.conns {
					t.Errorf("%d connections, want %d", n, tt.conns)
				}
			})
		})
	}
}

// brittle is a connection of the kernel whose writes fail, after a number of bytes, once the test
// says so.
type brittle struct {
	net.Conn
	broken *atomic.Bool
	after  int
}

func (b *brittle) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

func (b *brittle) Write(p []byte) (int, error) {
	if !b.broken.Load() {
		return b.Conn.Write(p)
	}
	b.Close()
	return b.after, &net.OpError{Op: "write", Err: syscall.EPIPE}
}

// TestAWriteOfWhichNoByteLeftIsSentAgain: a write of which the kernel took no byte is sent again.
// If it took one, the write is in doubt.
func TestAWriteOfWhichNoByteLeftIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		used  bool // the connection has served before
		after int
	}{
		"new, nothing taken":    {false, 0},
		"used, nothing taken":   {true, 0},
		"new, a part taken":     {false, 1},
		"used, a part is taken": {true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
				var broken atomic.Bool
				first := true
				c := newClient(t, gateway.Config{
					Endpoints: cl.urls,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := cl.net.Dial(ctx, network, addr)
						if err != nil || !first {
							return conn, err
						}
						first = false
						return &brittle{conn, &broken, tt.after}, nil
					},
				})
				if tt.used {
					if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
						t.Fatal(err)
					}
				}
				broken.Store(true)
				_, err := c.Put(within(t, time.Minute), "k", nil)
				if tt.after > 0 {
					wantErr(t, err, list(gateway.ErrUncertain), nil)
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}
