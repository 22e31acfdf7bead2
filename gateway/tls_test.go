package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// tlsServer answers on loopback, over TLS. pool trusts its certificate, which is for example.com
// and 127.0.0.1.
func tlsServer(
	t *testing.T, change func(*tls.Config),
) (server *httptest.Server, pool *x509.CertPool) {
	t.Helper()
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request,
	) {
		if r.ProtoMajor != 1 {
			t.Errorf("spoke %s", r.Proto)
		}
		ok(w)
	}))
	server.Config.ErrorLog = quiet
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"h2", "http/1.1"}}
	if change != nil {
		change(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	pool = x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server, pool
}

var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

func TestClientsSpeakTLS(t *testing.T) {
	t.Parallel()
	server, pool := tlsServer(t, nil)
	trust := &tls.Config{RootCAs: pool} //nolint:gosec // the client raises the version
	c := newClient(t, gateway.Config{Endpoints: []string{server.URL}, TLS: trust})
	if _, err := c.Put(within(t, 10*time.Second), "k", nil); err != nil {
		t.Error(err)
	}
	if trust.MinVersion != 0 {
		t.Error("the caller's configuration was changed")
	}
}

func TestAMistakeWithTLSIsAnErrorThatNamesTheEndpoint(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ok(w)
	}))
	t.Cleanup(plain.Close)
	good, pool := tlsServer(t, nil)
	mutual, mutualPool := tlsServer(t, func(c *tls.Config) {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	})
	mutual12, mutual12Pool := tlsServer(t, func(c *tls.Config) {
		c.ClientAuth, c.MaxVersion = tls.RequireAndVerifyClientCert, tls.VersionTLS12
	})
	old, oldPool := tlsServer(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })

	for _, tt := range []struct {
		name string
		url  string
		tls  *tls.Config
		says string
	}{
		{
			"https to a plain port", "https://" + plain.Listener.Addr().String(), nil,
			"does not look like a TLS handshake",
		},
		{"http to a TLS port", "http://" + good.Listener.Addr().String(), nil, "speaks https"},
		{"unknown CA", good.URL, nil, "unknown authority"},
		{
			"wrong name", good.URL, &tls.Config{RootCAs: pool, ServerName: "other.test"},
			"other.test",
		},
		{
			"no client certificate", mutual.URL, &tls.Config{RootCAs: mutualPool},
			"certificate required",
		},
		{
			"no client certificate, TLS 1.2", mutual12.URL,
			&tls.Config{RootCAs: mutual12Pool}, "remote error",
		},
		{"too old", old.URL, &tls.Config{RootCAs: oldPool}, "protocol version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, gateway.Config{Endpoints: []string{tt.url}, TLS: tt.tls})
			_, err := c.Get(within(t, 10*time.Second), "k")
			wantErr(t, err, nil, list(context.DeadlineExceeded, gateway.ErrUncertain))
			typed(t, err, "get", tt.url)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
			_, err = c.Put(within(t, 10*time.Second), "k", nil)
			wantErr(t, err, nil, list(context.DeadlineExceeded, gateway.ErrUncertain))

			// Other endpoints still serve, writes too.
			if strings.HasPrefix(tt.url, "https") {
				both := x509.NewCertPool()
				both.AddCert(good.Certificate())
				cfg := &tls.Config{RootCAs: both} //nolint:gosec // the client raises the version
				if tt.tls != nil && tt.tls.ServerName != "" || tt.url == good.URL {
					return // here the good server is the bad one
				}
				c := newClient(t, gateway.Config{Endpoints: []string{tt.url, good.URL}, TLS: cfg})
				if _, err := c.Put(within(t, 10*time.Second), "k", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestAResetMakesAWriteUncertain: a connection reset after the request makes a write uncertain; a
// read is retried.
func TestAResetMakesAWriteUncertain(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}))
	t.Cleanup(server.Close)
	c := newClient(t, gateway.Config{Endpoints: []string{server.URL}})
	_, err := c.Put(within(t, 10*time.Second), "k", nil)
	wantErr(t, err, list(gateway.ErrUncertain, gateway.ErrUnavailable),
		list(context.DeadlineExceeded))
	_, err = c.Get(within(t, 200*time.Millisecond), "k")
	wantErr(t, err, list(gateway.ErrUnavailable, context.DeadlineExceeded),
		list(gateway.ErrUncertain))
}
