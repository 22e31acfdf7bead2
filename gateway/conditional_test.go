package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// conditionals are the conditional writes. Each writes canaryValue to canaryKey.
var conditionals = map[string]struct {
	compare string // the condition
	call    func(ctx context.Context, c *gateway.Client,
		opts ...gateway.Option) (*gateway.PutResponse, error)
}{
	"create": {
		`{"target":"CREATE","key":"` + b64(canaryKey) + `"}`,
		func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) (*gateway.PutResponse,
			error,
		) {
			return c.Create(ctx, canaryKey, []byte(canaryValue), opts...)
		},
	},
	"update": {
		`{"target":"CREATE","result":"GREATER","key":"` + b64(canaryKey) + `"}`,
		func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) (*gateway.PutResponse,
			error,
		) {
			return c.PutIfExists(ctx, canaryKey, []byte(canaryValue), opts...)
		},
	},
	"replace": {
		`{"target":"VALUE","key":"` + b64(canaryKey) + `","value":"` + b64("old") + `"}`,
		func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) (*gateway.PutResponse,
			error,
		) {
			return c.CompareAndSwap(ctx, canaryKey, []byte("old"), []byte(canaryValue), opts...)
		},
	},
	"replace at": {
		`{"target":"MOD","key":"` + b64(canaryKey) + `","mod_revision":"7"}`,
		func(ctx context.Context, c *gateway.Client, opts ...gateway.Option) (*gateway.PutResponse,
			error,
		) {
			return c.UpdateRevision(ctx, canaryKey, 7, []byte(canaryValue), opts...)
		},
	},
}

// TestAConditionalWriteIsOneTransaction: each sends one transaction, and the error of a failed
// condition has the current value.
func TestAConditionalWriteIsOneTransaction(t *testing.T) {
	t.Parallel()
	for name, tt := range conditionals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, body := echoless(t, "", `{"header":{"cluster_id":"9","revision":"8"},"succeeded":true,
				"responses":[{"response_put":{"header":{"revision":"8"}}}]}`)
			r, err := tt.call(t.Context(), c, gateway.WithLease(77))
			if err != nil || r.Revision != 8 || r.ClusterID != 9 {
				t.Errorf("%+v, %v", r, err)
			}
			sameJSON(t, *body, `{"compare":[`+tt.compare+`],
				"success":[{"request_put":{
					"key":"`+b64(canaryKey)+`","value":"`+b64(canaryValue)+`","lease":"77"}}],
				"failure":[{"request_range":{"key":"`+b64(canaryKey)+`"}}]}`)

			c, _, _ = echoless(t, "",
				`{"header":{"revision":"9"},`+
					`"responses":[{"response_range":{"kvs":[{"key":"`+b64(canaryKey)+
					`","value":"`+b64(canaryValue)+
					`","create_revision":"2","mod_revision":"6"}],"count":"1"}}]}`)
			_, err = tt.call(t.Context(), c)
			wantErr(t, err, list(gateway.ErrConflict),
				list(gateway.ErrUncertain, gateway.ErrInvalid, gateway.ErrUnavailable))
			conflict, ok := errors.AsType[*gateway.ConflictError](err)
			if !ok || conflict.Current == nil || conflict.Current.ModRevision != 6 ||
				string(conflict.Current.Value) != canaryValue || conflict.Revision != 9 {
				t.Fatalf("%+v", conflict)
			}
			noCanary(t, append(forms(err), forms(conflict)...)...)

			c, _, _ = echoless(t, "",
				`{"header":{"revision":"9"},"responses":[{"response_range":{}}]}`)
			_, err = tt.call(t.Context(), c)
			conflict, ok = errors.AsType[*gateway.ConflictError](err)
			if !ok || conflict.Current != nil || !strings.Contains(err.Error(), "does not exist") {
				t.Errorf("%v, %+v", err, conflict)
			}
		})
	}
}

// TestAConditionalWriteRejectsOtherOptions: unsuitable options are rejected, and nothing is sent.
func TestAConditionalWriteRejectsOtherOptions(t *testing.T) {
	t.Parallel()
	c, _, body := echoless(t, "", `{}`)
	opts := map[string]gateway.Option{
		"PrevKV": gateway.PrevKV(), "IgnoreValue": gateway.IgnoreValue(),
		"IgnoreLease": gateway.IgnoreLease(),
		"Prefix":      gateway.Prefix(),
	}
	for name, opt := range opts {
		_, err := conditionals["create"].call(t.Context(), c, opt)
		wantErr(t, err, list(gateway.ErrInvalid), nil)
		_, _, err = c.PutSequential(t.Context(), "dir", nil, opt)
		wantErr(t, err, list(gateway.ErrInvalid), nil)
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	_, err := c.UpdateRevision(t.Context(), "k", -1, nil)
	wantErr(t, err, list(gateway.ErrInvalid), nil)
	if _, _, err = c.PutSequential(t.Context(), "/", nil); !errors.Is(err, gateway.ErrInvalid) ||
		*body != "" {
		t.Errorf("%v, sent %q", err, *body)
	}
}

// TestAConditionalWriteIsNotRepeated: a conditional write is not sent again, because a second
// attempt could find the effect of the first.
func TestAConditionalWriteIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, tt := range conditionals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, func(http.ResponseWriter, request) { drop() })
				_, err := tt.call(within(t, time.Minute), cl.client(t))
				wantErr(t, err, list(gateway.ErrUncertain),
					list(gateway.ErrConflict, context.DeadlineExceeded))
				if n := len(cl.requests()); n != 1 {
					t.Errorf("%d attempts", n)
				}
			})
		})
	}
}

// TestASequentialNumberIsAboveAllOthers: the number is above the revision, the last number, and any
// number that is taken.
func TestASequentialNumberIsAboveAllOthers(t *testing.T) {
	t.Parallel()
	type answers []string
	at := func(rev int64, number string) string {
		return fmt.Sprintf(`{"header":{"revision":"%d"},"kvs":[{"key":"%s","value":"%s",`+
			`"create_revision":"2","mod_revision":"4"}],"count":"1"}`,
			rev, b64("dir"), b64(number))
	}
	none := func(rev int64) string { return fmt.Sprintf(`{"header":{"revision":"%d"}}`, rev) }
	done := `{"header":{"revision":"30"},"succeeded":true,"responses":[{"response_put":{}},` +
		`{"response_put":{}}]}`
	failed := func(rev int64, read string) string {
		return fmt.Sprintf(`{"header":{"revision":"%d"},"responses":[{"response_range":%s}]}`,
			rev, read)
	}
	taken := failed(9, none(9))
	const lost = "lost"
	for name, tt := range map[string]struct {
		answers answers
		keys    []string // keys that are tried, in order
		is      error
	}{
		"the first": {answers{none(9), done}, []string{"10"}, nil},
		"behind the revision": {
			answers{at(9, "00000000000000000005"), done},
			[]string{"10"},
			nil,
		},
		"behind the last number": {
			answers{at(9, "00000000000000000700"), done},
			[]string{"701"},
			nil,
		},
		"overtaken": {answers{
			none(9), failed(12, at(12, "00000000000000000012")),
			done,
		}, []string{"10", "13"}, nil},
		"taken by hand": {
			answers{none(9), taken, taken, done},
			[]string{"10", "11", "12"},
			nil,
		},
		"lost":                {answers{none(9), lost}, []string{"10"}, gateway.ErrUncertain},
		"a value of its own":  {answers{at(9, "hello")}, nil, gateway.ErrInvalid},
		"a number of its own": {answers{at(9, "7")}, nil, gateway.ErrInvalid},
		"the last number":     {answers{at(9, "09223372036854775807")}, nil, gateway.ErrInvalid},
		"a negative number":   {answers{at(9, "-0000000000000000001")}, nil, gateway.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bodies []string
			c := newClient(t, gateway.Config{
				Endpoints: []string{"http://a:1"},
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					b, _ := io.ReadAll(r.Body)
					bodies = append(bodies, string(b))
					if a := tt.answers[len(bodies)-1]; a != lost {
						return reply(200, a), nil
					}
					return nil, io.ErrUnexpectedEOF
				}),
			})
			key, rev, err := c.PutSequential(t.Context(), "dir/", []byte("v"))
			if !errors.Is(err, tt.is) || err == nil && rev != 30 {
				t.Errorf("%d, %v", rev, err)
			}
			var meant []string
			for _, n := range tt.keys {
				meant = append(meant, fmt.Sprintf("dir/%020s", n))
			}
			wantKey := ""
			if err == nil || errors.Is(err, gateway.ErrUncertain) {
				wantKey = meant[len(meant)-1]
			}
			if len(bodies) != len(tt.answers) || key != wantKey {
				t.Errorf("%d requests, key %q", len(bodies), key)
			}
			for i, key := range meant {
				mod := ""
				if strings.Contains(tt.answers[i], `"mod_revision":"4"`) {
					mod = `,"mod_revision":"4"`
				}
				sameJSON(t, bodies[i+1], `{"compare":[{"target":"MOD","key":"`+b64("dir")+`"`+mod+`},
					{"target":"CREATE","key":"`+b64(key)+`"}],
					"success":[{"request_put":{
							"key":"`+b64("dir")+`","value":"`+b64(strings.TrimPrefix(key, "dir/"))+`"}},
						{"request_put":{"key":"`+b64(key)+`","value":"`+b64("v")+`"}}],
					"failure":[{"request_range":{"key":"`+b64("dir")+`"}}]}`)
			}
			if !slices.IsSorted(meant) {
				t.Error("out of order")
			}
		})
	}
}
