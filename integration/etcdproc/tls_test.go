package etcdproc_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

func TestClientCertificatesAndAuthentication(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		c := etcdtest.Start(t, &etcdproc.Options{
			Version:        version,
			ClientCertAuth: true,
			RootPassword:   "secret",
			AuthTokenTTL:   3 * time.Second,
			UnsafeNoFsync:  true,
		})
		if _, err := c.ClientV3(t).Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		c.FindLeader(t)
		if err := c.Member(0).Restart(t.Context()); err != nil {
			t.Fatal(err)
		}

		const login = `{"name":"root","password":"secret"}`
		url := c.Member(0).Endpoint() + "/v3/auth/authenticate"
		if status, body, err := post(t, c.TLSConfig(), url, login); err != nil ||
			status != http.StatusOK {
			t.Errorf("log in with a certificate without a common name: %d %s %v", status, body, err)
		}
		if status, body, err := post(t, c.PKI().ClientTLS("root"), url, login); err != nil ||
			status != http.StatusBadRequest {
			t.Errorf("log in with a certificate with a common name: %d %s %v, want 400", status,
				body, err)
		}
		if _, _, err := post(t, c.PKI().TrustTLS(), url, login); err == nil {
			t.Error("a client without a certificate was served")
		}
		stranger, err := etcdproc.NewPKI(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := post(t, stranger.ClientTLS(""), url, login); err == nil {
			t.Error("a client trusted a server of another authority")
		}
	})
}

func TestTLSWithoutClientCertificates(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, &etcdproc.Options{TLS: true, UnsafeNoFsync: true})
	if len(c.TLSConfig().Certificates) != 0 {
		t.Error("the client shows a certificate nobody asks for")
	}
	if _, err := c.ClientV3(t).Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	cert, key, err := c.PKI().ClientFiles("alice", "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Error(err)
	}
}

func post(
	t *testing.T, config *tls.Config, url, body string,
) (status int, answer string, err error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig:   config,
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}
