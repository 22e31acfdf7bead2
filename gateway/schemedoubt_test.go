package gateway_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAWriteOverTLSStaysInDoubt: a write that was sent over TLS stays in doubt, although the port
// speaks plain HTTP when it is asked later.
func TestAWriteOverTLSStaysInDoubt(t *testing.T) {
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

// TestAWriteStaysInDoubtAfterAWatchOnItsPort: a port over which a watch stood has served the
// client. It may have served a write, too, before it came back with another scheme.
func TestAWriteStaysInDoubtAfterAWatchOnItsPort(t *testing.T) {
	t.Parallel()
	p := newPort(t)
	p.http.Store(true)
	p.posts.Store(true)
	c := newClient(t, gateway.Config{Endpoints: []string{"http://" + p.addr}})
	w, err := c.Watch(within(t, time.Minute), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p.http.Store(false)
	p.certify(t)
	_, err = c.Put(within(t, time.Minute), "k", nil)
	wantErr(t, err, list(gateway.ErrUncertain), list(gateway.ErrProtocol))
}
