package gateway_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestSchemeAfterHandshake: a write that was sent over TLS stays in doubt, although the port
// speaks plain HTTP when it is asked later.
func TestSchemeAfterHandshake(t *testing.T) {
	t.Parallel()
	p := newPort(t)
	p.certify(t)
	p.apply = func() {
		p.tls.Store(nil)
		p.http.Store(true)
	}
	trust := &tls.Config{RootCAs: p.pool} //nolint:gosec // the client raises the version
	c := newClient(t, gateway.Config{Endpoints: []string{"https://" + p.addr}, TLS: trust})
	_, err := c.Put(within(t, time.Minute), "k", nil)
	wantErr(t, err, list(gateway.ErrUncertain), list(gateway.ErrProtocol))
}
