package gateway_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestThePrefixFollowsTheAgeOfTheMember: the paths of requests and streams for members of each age,
// and that the prefix is determined once.
func TestThePrefixFollowsTheAgeOfTheMember(t *testing.T) {
	t.Parallel()
	for version, prefix := range map[string]string{
		"3.0.17": "/v3alpha", "3.2.32": "/v3alpha", "3.3.27": "/v3beta", "3.4.0": "/v3",
		"3.6.16": "/v3", "3.10.0": "/v3", "4.0.0": "/v3",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				old := prefix != "/v3"
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					switch {
					case r.URL.Path == "/version":
						answer(w, 200, `{"etcdserver":"`+version+`"}`)
					case !strings.HasPrefix(r.URL.Path, prefix+"/") || old &&
						r.URL.Path == prefix+"/lease/revoke":
						http.NotFound(w, r.Request)
					case r.URL.Path == prefix+"/watch":
						createWatch(w, r.Request)
					case strings.HasSuffix(r.URL.Path, "/snapshot"):
						etcdError(w, 403, 7, "etcdserver: permission denied")
					default:
						ok(w)
					}
				})
				for name, call := range map[string]func(c *gateway.Client) error{
					"put": func(c *gateway.Client) error {
						_, err := c.Put(within(t, time.Minute), "k", nil)
						return err
					},
					"revoke": func(c *gateway.Client) error {
						return c.Revoke(within(t, time.Minute), 7)
					},
					"status": func(c *gateway.Client) error {
						_, err := c.Member(cl.urls[0]).Status(within(t, time.Minute))
						return err
					},
					"watch": func(c *gateway.Client) error {
						w, err := c.Watch(within(t, time.Minute), "k")
						closeWatch(w)
						return err
					},
					"snapshot": func(c *gateway.Client) error {
						_, err := c.Member(cl.urls[0]).Snapshot(within(t, time.Minute))
						if errors.Is(err, gateway.ErrPermissionDenied) {
							return nil
						}
						return err
					},
				} {
					c := cl.client(t)
					before := len(cl.requests())
					for range 3 {
						if err := call(c); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
					asked := 0
					for _, r := range cl.requests()[before:] {
						if r.URL.Path == "/version" {
							asked++
						}
					}
					if want := map[bool]int{true: 1}[old]; asked != want {
						t.Errorf("%s: asked for the version %d times, want %d", name, asked, want)
					}
				}
			})
		})
	}
}

func closeWatch(w *gateway.Watcher) {
	if w != nil {
		w.Close()
	}
}

// TestAGivenPrefixIsUsed: a given prefix is used, without a request to determine it.
func TestAGivenPrefixIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			if r.URL.Path != "/behind/v3/kv/put" {
				http.NotFound(w, r.Request)
				return
			}
			ok(w)
		})
		c := cl.client(t, func(cfg *gateway.Config) { cfg.APIPrefix = "/behind/v3" })
		if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
			t.Error(err)
		}
		_, err := c.Member("").HashKV(within(t, time.Minute), 0)
		wantErr(t, err, list(gateway.ErrProtocol, errors.ErrUnsupported),
			list(gateway.ErrUncertain))
		if n := len(cl.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}
