package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/holdfast-go/holdfast/gateway"
)

// answering makes a client whose requests are all answered alike, without a network.
func answering(f *testing.F, status *int, answer *string, then func()) *gateway.Client {
	f.Helper()
	c, err := gateway.New(gateway.Config{
		Endpoints: []string{"http://a:1"}, MaxResponse: 1 << 20,
		Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			then()
			return reply(*status, *answer), nil
		}),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	return c
}

var fuzzTxn = gateway.Txn{
	Then: []gateway.Op{
		gateway.OpPut("k", nil),
		gateway.OpTxn(gateway.Txn{Then: []gateway.Op{gateway.OpDelete("k")}}),
	},
	Else: []gateway.Op{gateway.OpGet("k")},
}

// FuzzDecodeTxn: an answer is decoded, or the call returns ErrUncertain.
func FuzzDecodeTxn(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ``, `null`,
		`{"succeeded":true,"responses":[{"response_put":{}},{"response_txn":{"succeeded":true,` +
			`"responses":[{"response_delete_range":{"deleted":"1"}}]}}]}`,
		`{"responses":[{"response_range":{"header":{"revision":"5"},"kvs":[{"key":"aw==",` +
			`"mod_revision":3}],"count":"1"}}]}`,
		`{"responses":[null]}`, `{"header":{"revision":"-9223372036854775808"}}`,
		strings.Repeat(`{"responses":[`, 10000),
	} {
		f.Add(seed)
	}
	status, answer := 200, ""
	c := answering(f, &status, &answer, func() {})
	f.Fuzz(func(t *testing.T, body string) {
		answer = body
		r, err := c.Txn(t.Context(), fuzzTxn)
		switch {
		case err == nil:
			if n := len(r.Responses); r.Succeeded && n != 2 || !r.Succeeded && n != 1 {
				t.Errorf("%d responses", n)
			}
			if !json.Valid([]byte(body)) {
				t.Error("taken although it is no JSON")
			}
		case !errors.Is(err, gateway.ErrUncertain):
			t.Errorf("definite: %v", err)
		case len(err.Error()) > 2000 || strings.Contains(err.Error(), "\n"):
			t.Errorf("error text %q", err)
		}
	})
}

func FuzzDecodeRange(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"kvs":[{"key":"aw==","value":"/w","lease":"7"}],"more":true,"count":"9"}`,
		`{"kvs":[{"key":"a_-="}]}`,
		`{"count":1e9}`, `{"count":"0x1"}`, `{"count":-}`, `{"count":007}`, `{"x":-}`,
		`{"x":[1,{"y":.5}]}`, `{"x":1,}`, `{"x":[,]}`,
		`{"more":tru}`, `{"x":"\q"}`, `{"x":"\u12"}`, "{\"x\":\"\n\"}", `{"kvs":[{"key":"\/w=="}]}`,
		`{"x":"`, `{"x"`, `{"x":"\`,
		`{"kvs":null}`, `{"kvs":[null,{}]}`, `{"header":{"cluster_id":"18446744073709551616"}}`,
	} {
		f.Add(seed)
	}
	status, answer := 200, ""
	c := answering(f, &status, &answer, func() {})
	f.Fuzz(func(t *testing.T, body string) {
		answer = body
		switch _, err := c.Get(t.Context(), "k", gateway.Serializable()); {
		case err == nil && !json.Valid([]byte(body)):
			t.Error("taken although it is no JSON")
		case err != nil && !errors.Is(err, gateway.ErrClusterMismatch):
			wantErr(t, err, list(gateway.ErrProtocol), list(gateway.ErrUncertain))
		}
	})
}

// FuzzDecodeError: with any error of a server, a write ends at once, and the text of its error is
// bounded.
func FuzzDecodeError(f *testing.F) {
	for _, seed := range []string{
		`{"code":14,"message":"etcdserver: no leader"}`, `{"error":"x","message":"x","code":3}`,
		`{"error":{"grpc_code":5,"http_code":404,"message":"etcdserver: requested lease not ` +
			`found"}}`,
		`{"error":{"code":16,"message":"etcdserver: invalid auth token"}}`,
		`{"error":7,"code":"x"}`, `{"code":99999999999999999999}`,
		`<html>`, ``, `{"code":-1}`, `{"code":8,"message":"\u0000\n\ud800"}`,
		`{"code":2,"message":"` + strings.Repeat("é", 400) + `"}`,
	} {
		f.Add(404, seed)
		f.Add(503, seed)
	}
	status, answer := 200, ""
	var cancel context.CancelFunc
	c := answering(f, &status, &answer, func() { cancel() })
	f.Fuzz(func(t *testing.T, code int, body string) {
		if status, answer = code, body; code < 300 || code > 599 {
			return
		}
		var ctx context.Context
		// ended by the answer, because a rejected write is retried
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		_, err := c.Put(ctx, "k", nil)
		if err == nil || len(err.Error()) > 3000 || strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("error text %q", err)
		}
	})
}

// FuzzSplit: the messages are the lines, with any sizes of chunks and buffer. The last line may
// lack its newline.
func FuzzSplit(f *testing.F) {
	long := strings.Repeat("x", 200)
	for _, seed := range []string{
		"", "\n", "a", "a\n", "a\nb", "\n\n\r\n",
		created(1, 5) + progress(7) + events(1, kv("a", 6)),
		long, long + "\n" + long + "\nend",
	} {
		f.Add(seed, uint8(1), uint8(0))
		f.Add(seed, uint8(64), uint8(100))
	}
	f.Fuzz(func(t *testing.T, text string, chunk, buffer uint8) {
		r := iotest.DataErrReader(strings.NewReader(text))
		if chunk > 0 {
			r = chunks{r, int(chunk)}
		}
		got, err := gateway.SplitLines(r, int(buffer))
		if want := slices.Collect(strings.Lines(text)); !slices.Equal(got, want) ||
			!errors.Is(err, io.EOF) {
			t.Errorf("%q and %v, want %q", got, err, want)
		}
	})
}

// chunks returns its text in pieces.
type chunks struct {
	io.Reader
	size int
}

func (c chunks) Read(b []byte) (int, error) { return c.Reader.Read(b[:min(len(b), c.size)]) }

// TestAMessageWithoutAnEndIsRejected: a message without an end is rejected before it fills the
// memory. A message of the largest size is accepted.
func TestAMessageWithoutAnEndIsRejected(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{gateway.MaxLine: true, gateway.MaxLine + 2<<20: false} {
		lines, err := gateway.SplitLines(strings.NewReader(strings.Repeat("x", size)+"\n"), 64<<10)
		if errors.Is(err, io.EOF) != ok || ok && (len(lines) != 1 || len(lines[0]) != size+1) {
			t.Errorf("%d bytes: %d lines, %v", size, len(lines), err)
		}
		if !ok {
			wantErr(t, err, list(gateway.ErrProtocol), nil)
		}
	}
}

// FuzzDecodeRenewal: an answer renews the lease, or returns an error.
func FuzzDecodeRenewal(f *testing.F) {
	for _, seed := range []string{
		`{"result":{"ID":"77","TTL":"5"}}`, `{"result":{"ID":77}}`,
		`{"result":{"ID":"78","TTL":"5"}}`,
		"\n\n", ``, `{}`, `{"result":null}`,
		`{"result":{"ID":"77","TTL":"5"}}` + "\n" +
			`{"error":{"code":7,"message":"etcdserver: permission denied"}}`,
		`{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}`,
		`{"result":{"ID":"77","TTL":"9223372036854775807"}}`,
		`{"result":{"ID":"77","TTL":"-9223372036854775808"}}`,
	} {
		f.Add(seed)
	}
	status, answer := 200, ""
	var cancel context.CancelFunc
	c := answering(f, &status, &answer, func() { cancel() })
	f.Fuzz(func(t *testing.T, body string) {
		answer = body
		var ctx context.Context
		// ended by the answer, because a failed renewal is retried
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		g, err := c.KeepAliveOnce(ctx, 77)
		switch {
		case err == nil:
			if g.ID != 77 || g.TTL <= 0 || g.TTL > gateway.MaxTTL || g.Sent.IsZero() {
				t.Errorf("%+v", g)
			}
		case errors.Is(err, gateway.ErrUncertain), len(err.Error()) > 3000,
			strings.ContainsAny(err.Error(), "\n\r\x00"):
			t.Errorf("error text %q", err)
		}
	})
}

// FuzzWatchLine: a line is a report, or ends the stream. Reports are in order and not before the
// start.
func FuzzWatchLine(f *testing.F) {
	for _, seed := range []string{
		created(1, 5), progress(9), events(1, kv("a", 6), kv("a", 7)), fragment(1, kv("a", 6)),
		refused(5, "PermissionDenied", "x"),
		line(5, `"watch_id":"1","canceled":true,"compact_revision":"4"`),
		line(5, `"watch_id":"1","canceled":true`),
		`{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}`, `{}`, `{"result":null}`,
		`{"result":{"events":[{}]}}`, `<html>`, ``,
		line(5,
			`"watch_id":"1","events":[{"type":"DELETE","kv":{"mod_revision":"9"},"prev_kv":{}}]`),
	} {
		f.Add(created(1, 5), seed)
		f.Add(seed, events(1, kv("a", 8)))
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		responses, err := gateway.HandleLines(first, second)
		if err != nil && (len(err.Error()) > 3000 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("error text %q", err)
		}
		for i, r := range responses {
			if r.Created && i > 0 && responses[0].Created {
				t.Error("created twice")
			}
			if r.Err != nil && i != len(responses)-1 {
				t.Errorf("reports after the end: %+v", responses)
			}
			for _, ev := range r.Events {
				if ev.KV.ModRevision < 3 {
					t.Errorf("an event of revision %d before the start", ev.KV.ModRevision)
				}
			}
		}
	})
}

// FuzzEndpoint: an endpoint is rejected, or requests can be sent to it and it contains no user.
func FuzzEndpoint(f *testing.F) {
	for _, seed := range []string{
		"http://a:1", "https://[::1]:2379/", "unix:///run/etcd.sock", "http://u:p@a",
		"http://a/%2f", "//a", "http://a:b", "http://[::1%25e]:1",
		"http://a?b#c", "unix://", "HTTP://A", "http:a", "http://a\n", " http://a", "http://%00",
		"unix://%2e%2e/a", "http://a:99999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		var sent *http.Request
		c, err := gateway.New(gateway.Config{
			Endpoints: []string{endpoint},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r
				return reply(200, "{}"), nil
			}),
		})
		if err != nil {
			wantErr(t, err, list(gateway.ErrInvalid), nil)
			return
		}
		if _, err := c.Get(t.Context(), "k"); err != nil || sent == nil {
			t.Errorf("%q: %v", endpoint, err)
			return
		}
		if u := sent.URL; u.User != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" ||
			u.Path != "/v3/kv/range" {
			t.Errorf("%q: sent to %s", endpoint, u)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
