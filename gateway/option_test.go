package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// options lists all options: the part of a request that each sets, and its calls.
var options = map[string]struct {
	option gateway.Option
	adds   string
	on     string
}{
	"Prefix": {gateway.Prefix(), `{"range_end":"` + b64("l") + `"}`, "get delete watch"},
	"Range": {
		gateway.Range("z"), `{"range_end":"` + b64("z") + `"}`,
		"get delete watch",
	},
	"FromKey": {
		gateway.FromKey(), `{"range_end":"` + b64("\x00") + `"}`,
		"get delete watch",
	},
	"Limit":             {gateway.Limit(7), `{"limit":"7"}`, "get"},
	"MinModRevision":    {gateway.MinModRevision(7), `{"min_mod_revision":"7"}`, "get"},
	"MaxModRevision":    {gateway.MaxModRevision(7), `{"max_mod_revision":"7"}`, "get"},
	"MinCreateRevision": {gateway.MinCreateRevision(7), `{"min_create_revision":"7"}`, "get"},
	"MaxCreateRevision": {gateway.MaxCreateRevision(7), `{"max_create_revision":"7"}`, "get"},
	"SortBy": {
		gateway.SortBy(gateway.SortValue, gateway.Descend),
		`{"sort_target":"VALUE","sort_order":"DESCEND"}`, "get",
	},
	"KeysOnly":       {gateway.KeysOnly(), `{"keys_only":true}`, "get"},
	"CountOnly":      {gateway.CountOnly(), `{"count_only":true}`, "get"},
	"Serializable":   {gateway.Serializable(), `{"serializable":true}`, "get"},
	"WithLease":      {gateway.WithLease(77), `{"lease":"77"}`, "put"},
	"IgnoreValue":    {gateway.IgnoreValue(), `{"ignore_value":true}`, "put"},
	"IgnoreLease":    {gateway.IgnoreLease(), `{"ignore_lease":true}`, "put"},
	"PrevKV":         {gateway.PrevKV(), `{"prev_kv":true}`, "put delete watch"},
	"NoPut":          {gateway.NoPut(), `{"filters":["NOPUT"]}`, "watch"},
	"NoDelete":       {gateway.NoDelete(), `{"filters":["NODELETE"]}`, "watch"},
	"ProgressNotify": {gateway.ProgressNotify(), `{"progress_notify":true}`, "watch"},
	"Patient":        {gateway.Patient(), `{}`, "watch"}, // etcd does not hear of it
	"Physical":       {gateway.Physical(), `{"physical":true}`, "compact"},
	"AtRevision":     {gateway.AtRevision(7), "", "get watch"}, // it has another name in each
}

type optionCall func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) error

// optionCalls take options. Each sends one request about the key "k", or about a revision.
var optionCalls = map[string]optionCall{
	"get": func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) error {
		_, err := c.Get(ctx, "k", opts...)
		return err
	},
	"put": func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) error {
		_, err := c.Put(ctx, "k", nil, opts...)
		return err
	},
	"delete": func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) error {
		_, err := c.Delete(ctx, "k", opts...)
		return err
	},
	"compact": func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) error {
		return c.Compact(ctx, 5, opts...)
	},
	"watch": func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) error {
		ended := make(chan struct{})
		_, err := c.WatchFunc("k", func(gateway.WatchResponse) { close(ended) }, opts...)
		if err == nil {
			<-ended
		}
		return err
	},
}

// sent makes a call and returns the request as JSON, or "" if there was none. For a watch it
// returns its create.
func sent(t *testing.T, call optionCall, opts ...gateway.Option) (string, error) {
	t.Helper()
	var body string
	c := newClient(t, gateway.Config{
		Endpoints: []string{"http://a:1"},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPost { // a request that looks for the gateway
				return reply(404, "no etcd"), nil
			}
			if r.URL.Path != "/v3/watch" {
				b, _ := io.ReadAll(r.Body)
				body = string(b)
				return reply(200, "{}"), nil
			}
			line, _ := bufio.NewReader(r.Body).ReadString('\n')
			body = strings.TrimSuffix(strings.TrimPrefix(line, `{"create_request":`), "}\n")
			return reply(404, "no etcd"), nil // ends the watch
		}),
	})
	err := call(t.Context(), c, opts...)
	return body, err
}

// TestAnOptionSetsItsPartOfTheRequest: each option with each call sets exactly its part of the
// request, or is rejected and nothing is sent.
func TestAnOptionSetsItsPartOfTheRequest(t *testing.T) {
	t.Parallel()
	for name, opt := range options {
		for callName, call := range optionCalls {
			t.Run(name+" of a "+callName, func(t *testing.T) {
				t.Parallel()
				got, err := sent(t, call, opt.option)
				if !strings.Contains(opt.on, callName) {
					wantErr(t, err, list(gateway.ErrInvalid), list(gateway.ErrUncertain))
					if got != "" || err != nil && !strings.Contains(err.Error(), name) {
						t.Errorf("sent %q, %v", got, err)
					}
					return
				}
				plain, plainErr := sent(t, call)
				if err := errors.Join(err, plainErr); err != nil {
					t.Fatal(err)
				}
				adds := opt.adds
				if name == "AtRevision" {
					adds = map[string]string{
						"get":   `{"revision":"7"}`,
						"watch": `{"start_revision":"7"}`,
					}[callName]
				}
				want, extra, have := map[string]any{}, map[string]any{}, map[string]any{}
				for to, text := range map[*map[string]any]string{
					&want: plain, &extra: adds, &have: got,
				} {
					if err := json.Unmarshal([]byte(text), to); err != nil {
						t.Fatal(text, err)
					}
				}
				if len(extra) == 0 && name != "Patient" || len(want) == 0 {
					t.Fatalf("nothing to compare: %v %v", extra, want)
				}
				if maps.Copy(want, extra); !reflect.DeepEqual(have, want) {
					t.Errorf("sent %s, want %v", got, want)
				}
			})
		}
	}
}

// TestOptionsAreAllTested: a new option needs its line in the table above.
func TestOptionsAreAllTested(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "option.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil {
			continue
		}
		if id, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && id.Name == "Option" {
			found[f.Name.Name] = true
			if _, ok := options[f.Name.Name]; !ok {
				t.Errorf("option %s is in no test", f.Name.Name)
			}
		}
	}
	if len(found) != len(options) {
		t.Errorf("%d options in the file, %d in the table", len(found), len(options))
	}
}

// TestWatchFiltersCanBeCombined: filters can be combined with each other and with the rest.
func TestWatchFiltersCanBeCombined(t *testing.T) {
	t.Parallel()
	got, err := sent(t, optionCalls["watch"],
		gateway.NoPut(), gateway.NoDelete(), gateway.ProgressNotify(), gateway.PrevKV(),
		gateway.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, got, `{"watch_id":"1","key":"`+b64("k")+`","range_end":"`+b64("l")+`",
		"prev_kv":true,"fragment":true,"progress_notify":true,"filters":["NOPUT","NODELETE"]}`)
}

// TestAPhysicalCompactionIsOneAttempt: it is one attempt, as long as the context allows. After a
// lost answer it is not sent again.
func TestAPhysicalCompactionIsOneAttempt(t *testing.T) {
	t.Parallel()
	var timeouts []string
	c := newClient(t, gateway.Config{
		Endpoints: []string{"http://a:1", "http://b:1"},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			timeouts = append(timeouts, r.Header.Get("Grpc-Timeout"))
			if len(timeouts) > 1 {
				return reply(200, "{}"), nil
			}
			return nil, io.ErrUnexpectedEOF
		}),
	})
	err := c.Compact(within(t, time.Hour), 5, gateway.Physical())
	wantErr(t, err, list(gateway.ErrUncertain, gateway.ErrUnavailable), nil)
	if len(timeouts) != 1 || len(timeouts[0]) < len("3500000m") {
		t.Errorf("attempts with %v", timeouts)
	}
	if err := c.Compact(t.Context(), 5, gateway.Physical()); err != nil || len(timeouts) != 2 ||
		timeouts[1] < "86399000m" {
		t.Errorf("%v, attempts with %v", err, timeouts)
	}
}
