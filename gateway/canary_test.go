package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// canaryCalls contain a secret each: a key, a value, or both.
var canaryCalls = map[string]func(ctx context.Context, c *gateway.Client) error{
	"get": get(canaryKey),
	"put": put(canaryKey, canaryValue),
	"delete": func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Delete(ctx, canaryKey, gateway.PrevKV())
		return err
	},
	"txn": func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpValue(canaryKey, gateway.Equal, []byte(canaryValue))},
			Then: []gateway.Op{gateway.OpPut(canaryKey, []byte(canaryValue))},
			Else: []gateway.Op{gateway.OpGet(canaryKey)},
		})
		return err
	},
	"create": func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Create(ctx, canaryKey, []byte(canaryValue))
		return err
	},
	"replace": func(ctx context.Context, c *gateway.Client) error {
		_, err := c.CompareAndSwap(ctx, canaryKey, []byte(canaryValue), []byte(canaryValue))
		return err
	},
	"put sequential": func(ctx context.Context, c *gateway.Client) error {
		_, _, err := c.PutSequential(ctx, canaryKey, []byte(canaryValue))
		return err
	},
	"pages": func(ctx context.Context, c *gateway.Client) error {
		return lastError(c.Pages(ctx, canaryKey, 7, gateway.Prefix()))
	},
	"watch": func(ctx context.Context, c *gateway.Client) error {
		w, err := c.Watch(ctx, canaryKey)
		if err != nil {
			return err
		}
		defer w.Close()
		for _, err = range w.Events() {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// TestSecretsNeverShow: neither errors nor the log contain a secret, with any fault of a server.
// Some servers here return the request, as debug pages of proxies do.
func TestSecretsNeverShow(t *testing.T) {
	t.Parallel()
	echo := func(status int, kind string) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, r request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_ = r.Header.Write(w)
			_, _ = w.Write([]byte(`{"` + r.body + canaryValue + `"}`))
		}
	}
	for name, handle := range map[string]func(http.ResponseWriter, request){
		"dropped":       dropped,
		"no answer":     silent,
		"no leader":     says(503, 14, "etcdserver: no leader"),
		"denied":        says(403, 7, "etcdserver: permission denied"),
		"token refused": says(401, 16, "etcdserver: invalid auth token"),
		"too large":     says(400, 3, "etcdserver: request is too large"),
		"compacted": says(400, 11,
			"etcdserver: mvcc: required revision has been compacted"),
		"echo of a proxy":    echo(502, "text/html"),
		"echo of a debugger": echo(404, "text/plain"),
		"echo as JSON":       echo(200, "application/json"),
		"keys of the wrong kind": body(`{"header":{"cluster_id":"7"},"kvs":[{"key":"` +
			b64(canaryKey) + `","value":{"` +
			canaryValue + `":1}}]}` + "\n"),
		"events of the wrong kind": body(`{"result":{"header":{"cluster_id":"7"},"watch_id":"1",` +
			`"events":[{"kv":{"key":"` +
			b64(canaryKey) + `","value":7}}],"x":"` + canaryValue + "\"}}\n"),
		"cut off": func(w http.ResponseWriter, _ request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"kvs":[{"key":"` + b64(canaryKey) +
				`","value":"` + b64(canaryValue)))
			drop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l logs
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					if r.URL.Path == "/v3/auth/authenticate" {
						answer(w, http.StatusOK, login)
						return
					}
					handle(w, r)
				})
				c := cl.client(t, withUser, func(cfg *gateway.Config) { cfg.Logger = l.logger() })
				for call, do := range canaryCalls {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					err := do(ctx, c)
					cancel()
					if err == nil {
						t.Errorf("%s: no error", call)
					}
					for ; err != nil; err = errors.Unwrap(err) {
						noCanary(t, forms(err)...)
					}
				}
				for _, state := range c.Endpoints() {
					noCanary(t, forms(state.Err)...)
				}
				noCanary(t, forms(c)...)
				noCanary(t, l.String())
				if name == "dropped" && !strings.Contains(l.String(), "request_failed") {
					t.Error("nothing was logged, and so nothing was looked at")
				}
			})
		})
	}
}
