package gateway_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// everyCall returns calls, and the calls to one member.
func everyCall(endpoint string) map[string]func(context.Context, *gateway.Client) error {
	all := map[string]func(context.Context, *gateway.Client) error{
		"snapshot": func(ctx context.Context, c *gateway.Client) error {
			s, err := c.Member(endpoint).Snapshot(ctx)
			if s != nil {
				_ = s.Close()
			}
			return err
		},
		"status": func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Member(endpoint).Status(ctx)
			return err
		},
		"version": func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Member(endpoint).Version(ctx)
			return err
		},
		"health": func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Member(endpoint).Health(ctx)
			return err
		},
		"readyz": func(ctx context.Context, c *gateway.Client) error {
			return c.Member(endpoint).Readyz(ctx)
		},
		"members": func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Cluster().MemberList(ctx)
			return err
		},
		"user add": func(ctx context.Context, c *gateway.Client) error {
			return c.Auth().UserAdd(ctx, "u", canaryPassword)
		},
	}
	for _, c := range calls {
		all[c.name] = c.call
	}
	return all
}

// TestNothingFollowsARedirect: no call, and no log-in, is sent to another place. A 307 would make
// net/http send the password, or the request with its token, there.
func TestNothingFollowsARedirect(t *testing.T) {
	t.Parallel()
	for _, logsIn := range []bool{false, true} {
		for name, call := range everyCall("http://m0:2379") {
			for _, status := range []int{301, 302, 307, 308} {
				t.Run(fmt.Sprintf("%s/%d/%v", name, status, logsIn), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
							if logsIn && r.URL.Path == "/v3/auth/authenticate" {
								answer(w, http.StatusOK, login)
								return
							}
							w.Header().Set("Location", "http://m1:2379"+r.URL.Path)
							w.WriteHeader(status)
						})
						c := cl.client(t, withUser, func(cfg *gateway.Config) {
							cfg.Endpoints = cl.urls[:1]
						})
						err := call(within(t, time.Minute), c)
						wantErr(t, err, list(gateway.ErrProtocol),
							list(gateway.ErrUncertain, context.DeadlineExceeded))
						noCanary(t, forms(err)...)
						if slices.Contains(cl.members(), 1) {
							t.Error("the redirect was followed")
						}
					})
				})
			}
		}
	}
}

// TestWatchDoesNotFollowARedirect: a watch follows no redirect while it is resumed either.
func TestWatchDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		elsewhere := newCluster(t, 1, func(http.ResponseWriter, request) {
			t.Error("the redirect was followed")
		})
		bad := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			w.Header().Set("Location", "http://elsewhere:1"+r.URL.Path)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		s.net["elsewhere:1"], s.net["bad:1"] = elsewhere.net["m0:2379"], bad.net["m0:2379"]
		c := s.client(t, func(cfg *gateway.Config) {
			cfg.Endpoints = append(cfg.Endpoints, "http://bad:1")
		})
		r, _ := watch(t, c, "a")
		st := s.next(t)
		st.accept("a", 0, 5)
		st.cut()
		st = s.next(t) // at the other endpoint
		id := st.accept("a", 6, 6)
		if len(bad.requests()) == 0 {
			t.Error("the other endpoint was not asked")
		}
		st.write(events(id, kv("a", 7)))
		r.want(t, "created 5", "a@7")
	})
}

// TestNoProxyFromTheEnvironment: the client uses no proxy from the environment, because it would
// see keys, values and tokens, and might not forward a stream.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	for _, name := range []string{
		"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
		"ALL_PROXY", "all_proxy",
	} {
		t.Setenv(name, "http://proxy:3128")
	}
	for _, name := range []string{"NO_PROXY", "no_proxy", "REQUEST_METHOD"} {
		t.Setenv(name, "")
	}
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
		var dialled []string
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			return cl.net.Dial(ctx, network, addr)
		}
		// A transport that uses the environment shows that it names a proxy.
		asks := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dial}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cl.urls[0], http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := asks.RoundTrip(req); err == nil {
			resp.Body.Close()
		}
		if !slices.Equal(dialled, []string{"proxy:3128"}) {
			t.Fatalf("with a proxy, %q were dialled", dialled)
		}
		dialled = nil
		c := cl.client(t, func(cfg *gateway.Config) { cfg.DialContext = dial })
		for name, call := range everyCall(cl.urls[0]) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			_ = call(ctx, c) // the answer fits only a few calls
			cancel()
			for _, addr := range dialled {
				if addr != "m0:2379" {
					t.Errorf("%s: %s was dialled", name, addr)
				}
			}
		}
		if len(dialled) == 0 {
			t.Error("nothing was dialled")
		}
	})
}

// TestNoHeaderMakesARequestUnsafe: no header asks for a compressed answer, returns a cookie, or
// makes net/http send a write again. The token is sent only where needed.
func TestNoHeaderMakesARequestUnsafe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			w.Header().Set("Set-Cookie", "id=1")
			if r.URL.Path == "/v3/auth/authenticate" {
				answer(w, http.StatusOK, login)
				return
			}
			ok(w)
		})
		c := cl.client(t, withUser)
		for range 2 {
			for _, call := range everyCall(cl.urls[0]) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				_ = call(ctx, c) // the answer fits only a few calls
				cancel()
			}
		}
		seen := map[string]bool{}
		for _, r := range cl.requests() {
			seen[r.URL.Path] = true
			for _, name := range []string{
				"Accept-Encoding", "Cookie", "Idempotency-Key",
				"X-Idempotency-Key", "Referer",
			} {
				if v := r.Header.Get(name); v != "" {
					t.Errorf("%s: %s: %s", r.URL.Path, name, v)
				}
			}
			token := canaryToken
			if !strings.HasPrefix(r.URL.Path, "/v3/") || r.URL.Path == "/v3/auth/authenticate" {
				token = ""
			}
			if got := r.Header.Values("Authorization"); strings.Join(got, ",") != token {
				t.Errorf("%s: token %q, want %q alone", r.URL.Path, got, token)
			}
			if strings.Contains(r.URL.String(), canaryToken) || r.URL.RawQuery != "" {
				t.Errorf("URL %s", r.URL)
			}
		}
		for _, path := range []string{
			"/v3/auth/authenticate", "/v3/kv/put", "/v3/watch",
			"/v3/maintenance/snapshot", "/version",
		} {
			if !seen[path] {
				t.Errorf("%s was not asked for", path)
			}
		}
	})
}
