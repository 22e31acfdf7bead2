package proxies_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/proxies"
)

// path is a way to the cluster: the configuration of a client, and a counter of the requests that
// arrive.
type path struct {
	config gateway.Config
	// total counts the requests of all clients. It is nil if each client's own Counter counts them.
	total func(context.Context) (int64, error)
}

// withoutVar is set in CI jobs that cannot install the proxies.
const withoutVar = "HOLDFAST_WITHOUT_PROXIES"

// startProxy starts a proxy and closes it at the end of the test. If the proxy is not installed, it
// skips the test; in CI, which installs the proxies, it fails the test.
func startProxy(t *testing.T, name string) path {
	t.Helper()
	o := proxies.Options{Dir: t.TempDir()}
	for _, m := range cluster.Members() {
		o.Members = append(o.Members, strings.TrimPrefix(m.Endpoint(), "http://"))
	}
	var pki *etcdproc.PKI
	if strings.Contains(name, "tls") {
		var err error
		if pki, err = etcdproc.NewPKI(t.TempDir(), ""); err != nil {
			t.Fatal(err)
		}
		o.CertFile, o.KeyFile = pki.ServerCertFile, pki.ServerKeyFile
	}
	p, err := proxies.Start(t.Context(), name, o)
	if errors.Is(err, proxies.ErrNotInstalled) && (os.Getenv("CI") != "true" ||
		os.Getenv(withoutVar) != "") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.Log())
		}
	})
	if pki != nil {
		return path{
			config: gateway.Config{Endpoints: []string{"https://" + p.Addr()}, TLS: pki.TrustTLS()},
			total:  p.Requests,
		}
	}
	return path{config: gateway.Config{Endpoints: []string{p.URL()}}}
}

// underPrefix starts a proxy that serves the gateway below a path.
func underPrefix(t *testing.T, name string) path {
	t.Helper()
	p := startProxy(t, name)
	p.config.APIPrefix = "/etcd/v3"
	return p
}

func direct(*testing.T, string) path {
	return path{config: gateway.Config{Endpoints: []string{cluster.Member(0).Endpoint()}}}
}

// reverse starts Go's own reverse proxy before the first member. Programs and several ingress
// controllers use it.
func reverse(flush time.Duration) func(*testing.T, string) path {
	return func(t *testing.T, _ string) path {
		t.Helper()
		target, err := url.Parse(cluster.Member(0).Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		upstream := &http.Transport{}
		server := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			FlushInterval: flush,
			Transport:     upstream,
		})
		t.Cleanup(func() {
			server.CloseClientConnections()
			server.Close()
			upstream.CloseIdleConnections()
		})
		return path{config: gateway.Config{Endpoints: []string{server.URL}}}
	}
}
