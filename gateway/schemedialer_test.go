package gateway_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestACallEndsWithItsContextDuringASchemeCheck: a call ends with its context, also where the
// dialer that looks for the other scheme does not look at its own.
func TestACallEndsWithItsContextDuringASchemeCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(http.ResponseWriter, request) { drop() })
		release := make(chan struct{})
		var dials atomic.Int32
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) == 1 {
					return cl.net.Dial(ctx, network, addr)
				}
				<-release
				return nil, errors.New("released")
			}
		})
		ctx := within(t, 500*time.Millisecond)
		done := make(chan error, 1)
		go func() { _, err := c.Get(ctx, "k"); done <- err }()
		select {
		case err := <-done:
			wantErr(t, err, list(context.DeadlineExceeded), nil)
		case <-time.After(10 * time.Second):
			t.Error("the call outlives its context")
		}
		close(release)
	})
}
