package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestSchemeCheckDelaysNoRenewal: the check of a port's scheme takes no longer than the attempt
// that caused it.
func TestSchemeCheckDelaysNoRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(http.ResponseWriter, request) { drop() })
		var dials atomic.Int32
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.AttemptTimeout = 30 * time.Second
			cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) != 2 {
					return cl.net.Dial(ctx, network, addr)
				}
				conn, silent := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, silent) }()
				return conn, nil
			}
		})
		stop := c.KeepAlive(gateway.LeaseGrant{ID: 7, TTL: 6 * time.Second, Sent: time.Now()},
			func(gateway.LeaseGrant) {})
		defer stop()
		time.Sleep(5 * time.Second) // the first is due after 2 s, and may take 2 s
		if n := len(cl.requests()); n < 2 {
			t.Errorf("%d renewals were tried", n)
		}
	})
}
