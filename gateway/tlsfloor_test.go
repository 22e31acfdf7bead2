package gateway_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestNoVersionBelowTLS12IsUsed: no version below TLS 1.2 is used, even if the caller's
// configuration permits it. A higher minimum of the caller is kept.
func TestNoVersionBelowTLS12IsUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		server uint16 // its highest version
		min    uint16 // the caller's minimum
		want   uint16 // 0: no connection
	}{
		{"old server", tls.VersionTLS11, 0, 0},
		{"old server, and a caller who permits it", tls.VersionTLS11, tls.VersionTLS10, 0},
		{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS10, tls.VersionTLS12},
		{"TLS 1.2 for a caller who wants more", tls.VersionTLS12, tls.VersionTLS13, 0},
		{"TLS 1.3", tls.VersionTLS13, 0, tls.VersionTLS13},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spoken := make(chan uint16, 100)
			server, pool := tlsServer(t, func(c *tls.Config) {
				c.MaxVersion = tt.server
				c.VerifyConnection = func(s tls.ConnectionState) error {
					spoken <- s.Version
					return nil
				}
			})
			//nolint:gosec // it is what is tested
			trust := &tls.Config{RootCAs: pool, MinVersion: tt.min}
			c := newClient(t, gateway.Config{Endpoints: []string{server.URL}, TLS: trust})
			_, err := c.Put(within(t, 10*time.Second), "k", nil)
			if tt.want == 0 {
				wantErr(t, err, nil, list(gateway.ErrUncertain, context.DeadlineExceeded))
				return
			}
			if err != nil {
				t.Error(err)
			}
			if got := <-spoken; got != tt.want {
				t.Errorf("spoke %s, want %s", tls.VersionName(got), tls.VersionName(tt.want))
			}
		})
	}
}

// TestAConfigurationWithoutTLS12IsRejected: a configuration without TLS 1.2 or later is rejected by
// New, before a call could fail in doubt.
func TestAConfigurationWithoutTLS12IsRejected(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]*tls.Config{
		"too old":     {MaxVersion: tls.VersionTLS11},
		"no overlap":  {MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12},
		"nothing new": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := gateway.New(gateway.Config{Endpoints: []string{"https://a:1"}, TLS: cfg})
			wantErr(t, err, list(gateway.ErrInvalid), nil)
		})
	}
	newClient(t, gateway.Config{
		Endpoints: []string{"https://a:1"}, TLS: &tls.Config{
			MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
		},
	})
}

// TestAnExpiredCertificateIsRejectedBeforeAnythingIsSent: it is rejected before anything is sent,
// with an error that names it.
func TestAnExpiredCertificateIsRejectedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	server, pool := tlsServer(t, nil)
	at := server.Certificate().NotAfter.Add(time.Hour)
	c := newClient(t, gateway.Config{
		Endpoints: []string{server.URL},
		//nolint:gosec // the client raises the version
		TLS: &tls.Config{RootCAs: pool, Time: func() time.Time { return at }},
	})
	_, err := c.Put(within(t, 10*time.Second), "k", nil)
	wantErr(t, err, nil, list(gateway.ErrUncertain, context.DeadlineExceeded))
	typed(t, err, "put", server.URL)
	if err != nil && !strings.Contains(err.Error(), "certificate has expired") {
		t.Errorf("%q does not say why", err)
	}
}
