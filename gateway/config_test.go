package gateway_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestABadConfigurationIsRejected(t *testing.T) {
	t.Parallel()
	const good = "http://10.0.0.1:2379"
	for _, tt := range []struct {
		name string
		cfg  gateway.Config
		says string
	}{
		{"no endpoints", gateway.Config{}, "no endpoints"},
		{"empty endpoint", gateway.Config{Endpoints: []string{""}}, "empty endpoint"},
		{"blank endpoint", gateway.Config{Endpoints: []string{" \t"}}, "empty endpoint"},
		{"no scheme", gateway.Config{Endpoints: []string{"10.0.0.1:2379"}}, "URL"},
		{
			"host name without scheme",
			gateway.Config{Endpoints: []string{"localhost:2379"}},
			"http://",
		},
		{"bare host", gateway.Config{Endpoints: []string{"localhost"}}, "http://"},
		{
			"unix without a socket",
			gateway.Config{Endpoints: []string{"unix://"}},
			"without a socket",
		},
		{
			"unix to a directory",
			gateway.Config{Endpoints: []string{"unix:///"}},
			"without a socket",
		},
		{
			"unix with a query",
			gateway.Config{Endpoints: []string{"unix:///run/etcd.sock?a=b"}},
			"more than the path",
		},
		{
			"unix with a user",
			gateway.Config{Endpoints: []string{"unix://root:" + canaryPassword + "@a/b"}},
			"user in it",
		},
		{
			"unix twice",
			gateway.Config{Endpoints: []string{"unix:///run/etcd.sock", "unix:///run//etcd.sock"}},
			"listed twice",
		},
		{
			"unix and https",
			gateway.Config{Endpoints: []string{"unix:///run/etcd.sock", "https://b:2379"}},
			"mix",
		},
		{
			"unix and TLS",
			gateway.Config{
				Endpoints: []string{"unix:///run/etcd.sock"},
				TLS:       &tls.Config{MinVersion: tls.VersionTLS12},
			},
			"TLS",
		},
		{
			"unix with a transport",
			gateway.Config{Endpoints: []string{"unix:///a"}, Transport: http.NewFileTransport(nil)},
			"Transport",
		},
		{
			"unix and plaintext password",
			gateway.Config{Endpoints: []string{"unix:///a", good}, Username: "root"},
			"AllowPlaintextAuth",
		},
		{
			"password that is not UTF-8",
			gateway.Config{
				Endpoints: []string{"https://a"}, Username: "root",
				Password: canaryPassword + "\xff",
			},
			"UTF-8",
		},
		{
			"user that is not UTF-8",
			gateway.Config{Endpoints: []string{"https://a"}, Username: "ro\xffot"},
			"UTF-8",
		},
		{
			"prefix without a slash",
			gateway.Config{Endpoints: []string{good}, APIPrefix: "v3"},
			"API prefix",
		},
		{
			"prefix that ends in two slashes",
			gateway.Config{Endpoints: []string{good}, APIPrefix: "/v3//"},
			"API prefix",
		},
		{
			"prefix of nothing",
			gateway.Config{Endpoints: []string{good}, APIPrefix: "/"},
			"API prefix",
		},
		{
			"prefix with a query",
			gateway.Config{Endpoints: []string{good}, APIPrefix: "/v3?a"},
			"API prefix",
		},
		{
			"prefix with dots",
			gateway.Config{Endpoints: []string{good}, APIPrefix: "/a/../v3"},
			"API prefix",
		},
		{"other scheme", gateway.Config{Endpoints: []string{"ftp://a"}}, "http://"},
		{"no host", gateway.Config{Endpoints: []string{"http://"}}, "without a host"},
		{"only a port", gateway.Config{Endpoints: []string{"http://:2379"}}, "without a host"},
		{"empty port", gateway.Config{Endpoints: []string{"http://a:"}}, "empty port"},
		{"port that is none", gateway.Config{Endpoints: []string{"http://a:b"}}, "URL"},
		{"path of the API", gateway.Config{Endpoints: []string{good + "/v3"}}, "APIPrefix"},
		{
			"path of the API behind a proxy",
			gateway.Config{Endpoints: []string{good + "/etcd/v3/"}},
			"APIPrefix",
		},
		{"path with dots", gateway.Config{Endpoints: []string{good + "/a/../b"}}, "plain"},
		{"path with two slashes", gateway.Config{Endpoints: []string{good + "//b"}}, "plain"},
		{
			"path that ends in two slashes",
			gateway.Config{Endpoints: []string{good + "/b//"}},
			"plain",
		},
		{"path with an escape", gateway.Config{Endpoints: []string{good + "/a%2Fb"}}, "plain"},
		{"path with a space", gateway.Config{Endpoints: []string{good + "/a b"}}, "plain"},
		{"path and query", gateway.Config{Endpoints: []string{good + "/a?b"}}, "more than scheme"},
		{
			"path twice but for a slash",
			gateway.Config{Endpoints: []string{good + "/a", good + "/a/"}},
			"listed twice",
		},
		{"query", gateway.Config{Endpoints: []string{good + "?a=b"}}, "more than scheme"},
		{"empty query", gateway.Config{Endpoints: []string{good + "/?"}}, "more than scheme"},
		{"fragment", gateway.Config{Endpoints: []string{good + "#a"}}, "more than scheme"},
		{"control character", gateway.Config{Endpoints: []string{good + "\n"}}, "URL"},
		{
			"user",
			gateway.Config{Endpoints: []string{"http://root:" + canaryPassword + "@a:1"}},
			"user in it",
		},
		{
			"user in a broken URL",
			gateway.Config{Endpoints: []string{"http://root:" + canaryPassword + "@a:x"}},
			"URL",
		},
		{
			"IPv6 zone",
			gateway.Config{Endpoints: []string{"http://[fe80::1%25eth0]:2379"}},
			"IPv6 zone",
		},
		{"twice", gateway.Config{Endpoints: []string{good, good}}, "listed twice"},
		{
			"twice but for a slash",
			gateway.Config{Endpoints: []string{good, good + "/"}},
			"listed twice",
		},
		{"mixed schemes", gateway.Config{Endpoints: []string{good, "https://b:2379"}}, "mix"},
		{
			"plaintext password",
			gateway.Config{
				Endpoints: []string{good}, Username: "root",
				Password: canaryPassword,
			},
			"AllowPlaintextAuth",
		},
		{
			"password without user",
			gateway.Config{Endpoints: []string{good}, Password: canaryPassword},
			"without a user",
		},
		{
			"TLS without https",
			gateway.Config{
				Endpoints: []string{good},
				TLS:       &tls.Config{MinVersion: tls.VersionTLS12},
			},
			"TLS",
		},
		{
			"negative timeout",
			gateway.Config{Endpoints: []string{good}, AttemptTimeout: -1},
			"negative",
		},
		{"negative size", gateway.Config{Endpoints: []string{good}, MaxResponse: -1}, "negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := gateway.New(tt.cfg)
			wantErr(t, err, list(gateway.ErrInvalid), nil)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
			noCanary(t, forms(err)...)
		})
	}
}

func TestAGoodConfigurationIsAccepted(t *testing.T) {
	t.Parallel()
	for _, cfg := range []gateway.Config{
		{Endpoints: []string{"http://a", "http://b:1/", "http://[::1]:2379"}},
		{Endpoints: []string{"https://a"}, Username: "root", Password: "secret"},
		{
			Endpoints: []string{"http://a"}, Username: "root", Password: "secret",
			AllowPlaintextAuth: true,
		},
		// nobody can read it on the way
		{Endpoints: []string{"unix:///run/etcd.sock"}, Username: "root", Password: "secret"},
		{
			Endpoints: []string{"unix:///run/etcd.sock", "unix://localhost:2379", "http://a"},
			APIPrefix: "/behind/v3",
		},
		{Endpoints: []string{"http://a"}, APIPrefix: "/v3/"},
		{Endpoints: []string{"https://a/etcd", "https://a/other/etcd/", "https://b:1"}},
	} {
		newClient(t, cfg)
	}
}

// TestLaterChangesOfAConfigurationHaveNoEffect: later changes of the caller's configuration have no
// effect.
func TestLaterChangesOfAConfigurationHaveNoEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
		urls := []string{cl.urls[0]}
		c := newClient(t, gateway.Config{Endpoints: urls, DialContext: cl.net.Dial})
		urls[0] = "http://elsewhere"
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Error(err)
		}
	})
}

// TestTheLargestNumbersMeanNoLimit: the largest numbers mean "no limit" and must not overflow.
func TestTheLargestNumbersMeanNoLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			if r.n < 3 {
				answer(w, http.StatusServiceUnavailable,
					`{"code":14,"message":"etcdserver: leader changed"}`)
				return
			}
			time.Sleep(time.Minute)
			ok(w)
		})
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.AttemptTimeout, cfg.MaxResponse = math.MaxInt64, math.MaxInt64
		})
		if _, err := c.Get(within(t, time.Hour), "k"); err != nil {
			t.Error(err)
		}
	})
}

func TestSecretNeverShows(t *testing.T) {
	t.Parallel()
	cfg := gateway.Config{
		Endpoints: []string{"https://a"}, Username: "root", Password: canaryPassword,
	}
	client := newClient(t, cfg)
	for _, v := range []any{cfg.Password, &cfg.Password, cfg, &cfg, client} {
		noCanary(t, forms(v)...)
		for _, verb := range []string{"%s", "%q", "%x", "%10.3v"} {
			noCanary(t, fmt.Sprintf(verb, v))
		}
		var l logs
		l.logger().Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&l, nil)).Info("x", "v", v)
		noCanary(t, l.String())
	}
	if s := fmt.Sprint(cfg.Password); s != "REDACTED" {
		t.Errorf("printed as %q", s)
	}
	noCanary(t, fmt.Sprintf("%d %t", cfg.Password, cfg.Password))
	asJSON, err := json.Marshal(map[string]any{
		"a": cfg.Password, "b": []gateway.Secret{cfg.Password},
	})
	if err != nil || string(asJSON) != `{"a":"REDACTED","b":["REDACTED"]}` {
		t.Errorf("as JSON: %s, %v", asJSON, err)
	}
	asXML, err := xml.Marshal(cfg.Password)
	if err != nil {
		t.Error(err)
	}
	noCanary(t, string(asXML))
}
