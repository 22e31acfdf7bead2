package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// echoless makes a client whose requests are kept in *seen, and answered with one body.
func echoless(
	t *testing.T, namespace, reply200 string,
) (c *gateway.Client, seen *http.Request, sent *string) {
	t.Helper()
	seen, sent = new(http.Request), new(string)
	c = newClient(t, gateway.Config{
		Endpoints: []string{"http://a:1"}, Namespace: namespace,
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(r.Body)
			*seen, *sent = *r, string(b)
			return reply(200, reply200), nil
		}),
	})
	return c, seen, sent
}

// sameJSON compares two texts as JSON.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("%q: %v", got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%q: %v", want, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("sent %s\nwant %s", got, want)
	}
}

func TestCallsSendTheirRequests(t *testing.T) {
	t.Parallel()
	k, b, top := b64("k"), b64("b"), b64("\x00")
	for _, tt := range []struct {
		name, path, want string
		call             func(ctx context.Context, c *gateway.Client) error
	}{
		{"get", "/v3/kv/range", `{"key":"` + k + `"}`, get("k")},
		{
			"range", "/v3/kv/range", `{"key":"` + b + `","range_end":"` + k + `"}`,
			get("b", gateway.Range("k")),
		},
		{
			"prefix", "/v3/kv/range", `{"key":"` + k + `","range_end":"` + b64("l") + `"}`,
			get("k", gateway.Prefix()),
		},
		{"prefix of 0xff", "/v3/kv/range", `{"key":"` + b64("a\xff\xff") + `","range_end":"` + b +
			`"}`, get("a\xff\xff", gateway.Prefix())},
		{
			"prefix of nothing but 0xff", "/v3/kv/range",
			`{"key":"` + b64("\xff\xff") + `","range_end":"` + top + `"}`,
			get("\xff\xff", gateway.Prefix()),
		},
		{
			"all keys", "/v3/kv/range", `{"key":"` + top + `","range_end":"` + top + `"}`,
			get("", gateway.Prefix()),
		},
		{
			"from key", "/v3/kv/range", `{"key":"` + k + `","range_end":"` + top + `"}`,
			get("k", gateway.FromKey()),
		},
		{
			"from the first key", "/v3/kv/range", `{"key":"` + top + `","range_end":"` + top + `"}`,
			get("", gateway.FromKey()),
		},
		{"binary key", "/v3/kv/range", `{"key":"AP/+Lw=="}`, get("\x00\xff\xfe/")},
		{
			"revision", "/v3/kv/range", `{"key":"` + k + `","revision":"9223372036854775807"}`,
			get("k", gateway.AtRevision(math.MaxInt64)),
		},
		{"limit", "/v3/kv/range", `{"key":"` + k + `","limit":"7"}`, get("k", gateway.Limit(7))},
		{
			"sort", "/v3/kv/range",
			`{"key":"` + k + `","sort_order":"DESCEND","sort_target":"CREATE"}`,
			get("k", gateway.SortBy(gateway.SortCreateRevision, gateway.Descend)),
		},
		{
			"local", "/v3/kv/range", `{"key":"` + k + `","serializable":true,"keys_only":true}`,
			get("k", gateway.Serializable(), gateway.KeysOnly()),
		},
		{"put", "/v3/kv/put", `{"key":"` + k + `","value":"/w=="}`, put("k", "\xff")},
		{"put nothing", "/v3/kv/put", `{"key":"` + k + `"}`, put("k", "")},
		{
			"put options", "/v3/kv/put", `{"key":"` + k + `","value":"` + b +
				`","lease":"9223372036854775807","prev_kv":true}`,
			put("k", "b", gateway.WithLease(math.MaxInt64), gateway.PrevKV()),
		},
		{"delete", "/v3/kv/deleterange", `{"key":"` + k + `","range_end":"` + b64("l") +
			`","prev_kv":true}`, func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Delete(ctx, "k", gateway.Prefix(), gateway.PrevKV())
			return err
		}},
		{
			"compact", "/v3/kv/compaction", `{"revision":"7"}`,
			func(ctx context.Context, c *gateway.Client) error {
				return c.Compact(ctx, 7)
			},
		},
		{
			"grant", "/v3/lease/grant", `{"ID":"77","TTL":"2"}`,
			func(ctx context.Context, c *gateway.Client) error {
				_, err := c.Grant(ctx, 77, 1001*time.Millisecond)
				return err
			},
		},
		{
			"revoke", "/v3/lease/revoke", `{"ID":"77"}`,
			func(ctx context.Context, c *gateway.Client) error {
				return c.Revoke(ctx, 77)
			},
		},
		{
			"keepalive", "/v3/lease/keepalive", `{"ID":"77"}`,
			func(ctx context.Context, c *gateway.Client) error {
				_, err := c.KeepAliveOnce(ctx, 77)
				return err
			},
		},
		{
			"timetolive", "/v3/lease/timetolive", `{"ID":"77","keys":true}`,
			func(ctx context.Context, c *gateway.Client) error {
				_, err := c.TimeToLive(ctx, 77, true)
				return err
			},
		},
		{"leases", "/v3/lease/leases", `{}`, func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Leases(ctx)
			return err
		}},
		{
			"txn", "/v3/kv/txn", `{
			"compare":[
				{"target":"CREATE","key":"` + k + `"},
				{"target":"CREATE","key":"` + k + `","range_end":"` + b64("l") + `"},
				{"target":"MOD","result":"NOT_EQUAL","key":"` + k + `","mod_revision":"5"},
				{"target":"VERSION","result":"LESS","key":"` + k + `","version":"6"},
				{"target":"LEASE","result":"GREATER","key":"` + k + `","lease":"7"},
				{"target":"VALUE","key":"` + k + `","value":"` + b + `"},
				{"target":"MOD","result":"LESS","key":"` + b + `","range_end":"` + k + `","mod_revision":"8"},
				{"target":"LEASE","key":"` + k + `","range_end":"` + top + `"}],
			"success":[{"request_put":{"key":"` + k + `"}},
				{"request_txn":{"failure":[{"request_delete_range":{"key":"` + k + `"}}]}}],
			"failure":[{"request_range":{"key":"` + k + `","limit":"1"}}]}`,
			func(ctx context.Context, c *gateway.Client) error {
				_, err := c.Txn(ctx, gateway.Txn{
					If: []gateway.Cmp{
						gateway.CmpCreateRevision("k", gateway.Equal, 0),
						gateway.CmpCreateRevision("k", gateway.Equal, 0).Prefix(),
						gateway.CmpModRevision("k", gateway.NotEqual, 5),
						gateway.CmpVersion("k", gateway.Less, 6),
						gateway.CmpLease("k", gateway.Greater, 7),
						gateway.CmpValue("k", gateway.Equal, []byte("b")),
						gateway.CmpModRevision("b", gateway.Less, 8).Range("k"),
						gateway.CmpLease("k", gateway.Equal, 0).FromKey(),
					},
					Then: []gateway.Op{
						gateway.OpPut("k", nil),
						gateway.OpTxn(gateway.Txn{Else: []gateway.Op{gateway.OpDelete("k")}}),
					},
					Else: []gateway.Op{gateway.OpGet("k", gateway.Limit(1))},
				})
				return err
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, r, sent := echoless(t, "", `{}`)
			_ = tt.call(within(t, 2*time.Second), c)
			sameJSON(t, *sent, tt.want)
			if r.Method != http.MethodPost || r.URL.String() != "http://a:1"+tt.path {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			// Without Accept etcd may use the user in the server's certificate.
			if r.Header.Get("Accept") != "application/json" ||
				r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", r.Header)
			}
			if local := tt.name == "local"; (r.Header.Get("Grpc-Metadata-Hasleader") == "true") == local {
				t.Errorf("headers %v: a serializable read works without a leader, and nothing else",
					r.Header)
			}
			var ms int
			if n, _ := fmt.Sscanf(r.Header.Get("Grpc-Timeout"), "%dm", &ms); n != 1 || ms < 1 ||
				ms > 1000 {
				t.Errorf("Grpc-Timeout %q", r.Header.Get("Grpc-Timeout"))
			}
			if r.Header.Get("Idempotency-Key") != "" || r.Header.Get("Authorization") != "" {
				t.Errorf("headers %v", r.Header)
			}
		})
	}
}

func get(key string, opts ...gateway.Option) func(ctx context.Context, c *gateway.Client) error {
	return func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Get(ctx, key, opts...)
		return err
	}
}

func put(
	key, value string, opts ...gateway.Option,
) func(ctx context.Context, c *gateway.Client) error {
	return func(ctx context.Context, c *gateway.Client) error {
		_, err := c.Put(ctx, key, []byte(value), opts...)
		return err
	}
}

// TestANamespaceIsBeforeEveryKey: it is put before every key in requests and removed in answers.
func TestANamespaceIsBeforeEveryKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, _, sent := echoless(t, "ns/", `{"kvs":[{"key":"`+b64("ns/k")+
		`","create_revision":"1","mod_revision":"1"}],"count":"1"}`)
	for want, opts := range map[string][]gateway.Option{
		`{"key":"` + b64("ns/k") + `"}`: nil,
		`{"key":"` + b64("ns/k") + `","range_end":"` + b64("ns/l") +
			`"}`: {gateway.Prefix()},
		`{"key":"` + b64("ns/k") + `","range_end":"` + b64("ns/z") +
			`"}`: {gateway.Range("z")},
		`{"key":"` + b64("ns/k") + `","range_end":"` + b64("ns0") +
			`"}`: {gateway.FromKey()},
		`{"key":"` + b64("ns/k") +
			`","limit":"2"}`: {gateway.Limit(2)},
		`{"key":"` + b64("ns/k") + `","range_end":"` + b64("ns/k\x00") +
			`"}`: {gateway.Range("k\x00")},
		`{"key":"` + b64("ns/k") + `","range_end":"` + b64("ns/\xff\xff") +
			`"}`: {gateway.Range("\xff\xff")},
	} {
		r, err := c.Get(ctx, "k", opts...)
		if err != nil || len(r.KVs) != 1 || r.KVs[0].Key != "k" {
			t.Errorf("%+v, %v", r, err)
		}
		sameJSON(t, *sent, want)
	}
	if _, err := c.Get(ctx, "", gateway.Prefix()); err != nil {
		t.Error(err)
	}
	sameJSON(t, *sent, `{"key":"`+b64("ns/")+`","range_end":"`+b64("ns0")+`"}`)
	_, _ = c.Txn(ctx, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision("", gateway.Equal, 0).Prefix()},
		Then: []gateway.Op{gateway.OpPut("k", nil)},
	})
	sameJSON(t, *sent, `{
		"compare":[{"target":"CREATE","key":"`+b64("ns/")+`","range_end":"`+b64("ns0")+`"}],
		"success":[{"request_put":{"key":"`+b64("ns/k")+`"}}]}`)

	c, _, _ = echoless(t, "namespace/", `{"kvs":[{"key":"`+b64("k")+`"}]}`)
	_, err := c.Get(ctx, "k")
	wantErr(t, err, list(gateway.ErrProtocol), nil)

	c, _, _ = echoless(t, "ns/",
		`{"TTL":"3","grantedTTL":"5","keys":["`+b64("ns/a")+`","`+b64("other/b")+`"]}`)
	info, err := c.TimeToLive(ctx, 7, true)
	if err != nil || fmt.Sprint(info.Keys) != "[a]" || info.TTL != 3*time.Second ||
		info.GrantedTTL != 5*time.Second {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestInvalidRequestsAreNotSent: they are rejected by the client, and nothing is sent.
func TestInvalidRequestsAreNotSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, gateway.Config{
		Endpoints: []string{"http://a:1"},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			t.Errorf("sent to %s", r.URL)
			return reply(200, "{}"), nil
		}),
	})
	grant := func(ttl time.Duration) func(context.Context, *gateway.Client) error {
		return func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Grant(ctx, 0, ttl)
			return err
		}
	}
	txn := func(txn gateway.Txn) func(context.Context, *gateway.Client) error {
		return func(ctx context.Context, c *gateway.Client) error {
			_, err := c.Txn(ctx, txn)
			return err
		}
	}
	for name, call := range map[string]func(context.Context, *gateway.Client) error{
		"empty key":             get(""),
		"empty key of a range":  get("", gateway.Range("a")),
		"empty range":           get("b", gateway.Range("b")),
		"range the wrong way":   get("b", gateway.Range("a")),
		"negative limit":        get("a", gateway.Limit(-1)),
		"negative revision":     get("a", gateway.AtRevision(-1)),
		"option of a put":       get("a", gateway.WithLease(1)),
		"empty key of a put":    put("", "v"),
		"option of a get":       put("a", "v", gateway.Prefix()),
		"no time to live":       grant(0),
		"negative time to live": grant(-time.Second),
		"too long a time":       grant(gateway.MaxTTL + 1),
		"longest":               grant(math.MaxInt64),
		"compare that is none":  txn(gateway.Txn{If: []gateway.Cmp{{}}}),
		"compare by no relation": txn(gateway.Txn{If: []gateway.Cmp{gateway.CmpVersion("a", "equal",
			1)}}),
		"compare of no range": txn(gateway.Txn{If: []gateway.Cmp{gateway.CmpVersion("b",
			gateway.Equal,
			1).Range("a")}}),
		"two ranges": get("a", gateway.Prefix(), gateway.Range("b")),
		"two ranges, nested": txn(gateway.Txn{Then: []gateway.Op{gateway.OpDelete("a",
			gateway.FromKey(),
			gateway.Prefix())}}),
		"no target to sort by":  get("a", gateway.SortBy("key", gateway.Ascend)),
		"no order to sort in":   get("a", gateway.SortBy(gateway.SortKey, "")),
		"negative mod revision": get("a", gateway.MinModRevision(-1)),
		"negative create":       get("a", gateway.MaxCreateRevision(math.MinInt64)),
		"count with a limit":    get("a", gateway.Prefix(), gateway.CountOnly(), gateway.Limit(1)),
		"count of some": get("a", gateway.Prefix(), gateway.CountOnly(),
			gateway.MinModRevision(7)),
		"count in an order": get("a", gateway.Prefix(), gateway.CountOnly(),
			gateway.SortBy(gateway.SortKey, gateway.Descend)),
		"count of keys only":  get("a", gateway.Prefix(), gateway.KeysOnly(), gateway.CountOnly()),
		"value and ignore it": put("a", "v", gateway.IgnoreValue()),
		"lease and ignore it": put("a", "v", gateway.WithLease(1), gateway.IgnoreLease()),
		"compact nothing": func(ctx context.Context, c *gateway.Client) error {
			return c.Compact(ctx, 0)
		},
		"compare without a key": txn(gateway.Txn{If: []gateway.Cmp{gateway.CmpVersion("",
			gateway.Equal, 1)}}),
		"operation that is none": txn(gateway.Txn{Then: []gateway.Op{{}}}),
		"nested, empty key": txn(gateway.Txn{
			Else: []gateway.Op{gateway.OpTxn(gateway.Txn{Then: []gateway.Op{gateway.OpDelete("")}})},
		}),
		"wrong option in a txn": txn(gateway.Txn{Then: []gateway.Op{gateway.OpDelete("a",
			gateway.Limit(1))}}),
	} {
		t.Run(name, func(t *testing.T) {
			wantErr(t, call(t.Context(), c), list(gateway.ErrInvalid),
				list(gateway.ErrUncertain, gateway.ErrUnavailable))
		})
	}
}
