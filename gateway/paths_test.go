package gateway_test

import (
	"context"
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

// TestRequestsAreSentBelowThePathOfAProxy: behind a proxy with a path, every request is sent below
// the path.
func TestRequestsAreSentBelowThePathOfAProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, prefix, api, pages string }{
		{"", "", "/v3", ""},
		{"/", "/v3/", "/v3", ""},
		{"", "/etcd/v3", "/etcd/v3", "/etcd"},
		{"", "/etcd/v3/", "/etcd/v3", "/etcd"},
		{"", "/api", "/api", ""},
		{"/etcd", "", "/etcd/v3", "/etcd"},
		{"/a/b.c/", "", "/a/b.c/v3", "/a/b.c"},
		{"/a", "/b/v3", "/a/b/v3", "/a/b"},
	} {
		t.Run(tt.path+" "+tt.prefix, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const members = `{` + header +
					`,"members":[{"ID":"10276657743932975437","name":"m",` +
					`"clientURLs":["http://nowhere:2379"]}]}`
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					switch path := r.URL.Path; {
					case path == tt.pages+"/version":
						answer(w, http.StatusOK, `{"etcdserver":"3.6.0","etcdcluster":"3.6.0"}`)
					case path == tt.pages+"/health":
						answer(w, http.StatusOK, `{"health":"true"}`)
					case path == tt.pages+"/livez", path == tt.pages+"/readyz":
						answer(w, http.StatusOK, "ok")
					case path == tt.api+"/cluster/member/list":
						answer(w, http.StatusOK, members)
					case path == tt.api+"/watch":
						answer(w, http.StatusForbidden,
							`{"code":7,"message":"etcdserver: permission denied"}`)
					case path == tt.api+"/maintenance/snapshot":
						answer(w, http.StatusForbidden,
							`{"code":7,"message":"etcdserver: permission denied"}`)
					case strings.HasPrefix(path, tt.api+"/kv/"),
						strings.HasPrefix(path, tt.api+"/maintenance/"),
						strings.HasPrefix(path, tt.api+"/lease/"):
						ok(w)
					default:
						t.Errorf("asked for %s", path)
						http.NotFound(w, r.Request)
					}
				})
				c := cl.client(t, func(cfg *gateway.Config) {
					cfg.Endpoints = []string{cl.urls[0] + tt.path}
					cfg.APIPrefix, cfg.RejectOldCluster = tt.prefix, true
				})
				ctx := within(t, time.Minute)
				_, errPut := c.Put(ctx, "k", nil)
				_, errStatus := c.Member("").Status(ctx)
				_, errVersion := c.Member("").Version(ctx)
				_, errNamed := c.Member(cl.urls[0] + tt.path).Version(ctx)
				_, errHealth := c.Member("").Health(ctx)
				for i, err := range []error{
					errPut, errStatus, errVersion, errNamed, errHealth, c.Member("").Livez(ctx),
					c.Member("").Readyz(ctx), c.Sync(ctx),
				} {
					if err != nil {
						t.Errorf("call %d: %v", i, err)
					}
				}
				_, err := c.Member("").Snapshot(ctx)
				wantErr(t, err, list(gateway.ErrPermissionDenied), nil)
				_, err = c.Watch(within(t, 100*time.Millisecond), "k")
				wantErr(t, err, list(context.DeadlineExceeded), nil)
				if !slices.ContainsFunc(cl.requests(),
					func(r request) bool { return r.URL.Path == tt.api+"/watch" }) {
					t.Error("no stream was asked for")
				}
				if got := c.Endpoints(); len(got) != 1 ||
					got[0].URL != cl.urls[0]+strings.TrimSuffix(tt.path, "/") {
					t.Errorf("endpoints %+v", got)
				}
			})
		})
	}
}

// TestCallsAndWatchesMoveToTheNewEndpoints: calls and watches move to other members. Facts about
// the remaining endpoints are kept.
func TestCallsAndWatchesMoveToTheNewEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 3, func(w http.ResponseWriter, r request) {
			if strings.HasSuffix(r.URL.Path, "/watch") {
				<-r.Context().Done()
				return
			}
			ok(w)
		})
		c := cl.client(t, func(cfg *gateway.Config) { cfg.Endpoints = cl.urls[:2] })
		ctx := within(t, time.Minute)
		if _, err := c.Put(ctx, "k", nil); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			urls []string
			says string
		}{
			{nil, "no endpoints"},
			{[]string{"m0:2379"}, "http://"},
			{[]string{"http://a?b"}, "more than"},
			{[]string{"https://a"}, "mix"},
			{[]string{"http://a", "http://a/"}, "twice"},
		} {
			err := c.SetEndpoints(tt.urls...)
			wantErr(t, err, list(gateway.ErrInvalid), nil)
			if err != nil && (!strings.Contains(err.Error(), tt.says) ||
				!strings.Contains(err.Error(), "set endpoints")) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		}
		before := c.Endpoints()
		if err := c.SetEndpoints(cl.urls[1], cl.urls[0]); err != nil {
			t.Error(err)
		}
		for _, ep := range c.Endpoints() {
			if !slices.Contains(before, ep) {
				t.Errorf("%+v is new", ep)
			}
		}
		if err := c.SetEndpoints(cl.urls[2]); err != nil {
			t.Error(err)
		}
		if _, err := c.Put(ctx, "k", nil); err != nil {
			t.Error(err)
		}
		if m := cl.members(); m[len(m)-1] != 2 {
			t.Errorf("asked %v", m)
		}
		if s := fmt.Sprint(c); !strings.Contains(s, "m2") || strings.Contains(s, "m0") {
			t.Errorf("the client is printed as %s", s)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wantErr(t, c.SetEndpoints(cl.urls[0]), list(gateway.ErrClosed), nil)
	})
}

// TestAStreamToARemovedEndpointEnds: the stream to a removed endpoint ends at once.
func TestAStreamToARemovedEndpointEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = fmt.Fprintf(w, `{"result":{%s,"watch_id":"%d","created":true}}`+"\n",
				header, r.n+1)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		})
		c := cl.client(t, func(cfg *gateway.Config) { cfg.Endpoints = cl.urls[:1] })
		w, err := c.Watch(within(t, time.Minute), "k")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetEndpoints(cl.urls[1]); err != nil {
			t.Error(err)
		}
		time.Sleep(500 * time.Millisecond)
		var streams []int
		for _, r := range cl.requests() {
			if r.URL.Path == "/v3/watch" {
				streams = append(streams, r.member)
			}
		}
		if !slices.Equal(streams, []int{0, 1}) {
			t.Errorf("streams went to %v", streams)
		}
		w.Close()
	})
}

// TestNoWatchBeginsAtARemovedEndpoint: watches do not begin at an endpoint that went while they
// logged in.
func TestNoWatchBeginsAtARemovedEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if r.URL.Path != "/v3/watch" {
				time.Sleep(500 * time.Millisecond)
				answer(w, http.StatusOK, login)
				return
			}
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = fmt.Fprintf(w, `{"result":{%s,"watch_id":"1","created":true}}`+"\n", header)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		})
		c := cl.client(t, withUser, func(cfg *gateway.Config) { cfg.Endpoints = cl.urls[:1] })
		_, stop := watch(t, c, "k")
		defer stop()
		time.Sleep(100 * time.Millisecond)
		if err := c.SetEndpoints(cl.urls[1]); err != nil {
			t.Error(err)
		}
		time.Sleep(900 * time.Millisecond)
		var streams []int
		for _, r := range cl.requests() {
			if r.URL.Path == "/v3/watch" {
				streams = append(streams, r.member)
			}
		}
		if !slices.Equal(streams, []int{1}) {
			t.Errorf("streams went to %v", streams)
		}
	})
}

// TestAnOldClusterIsRejectedBeforeAnythingIsSent: endpoints are rejected by their version, before
// anything else is sent to them.
func TestAnOldClusterIsRejectedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for version, refused := range map[string]bool{
		"3.2.32": true, "3.3.27": true, "2.3.8": true,
		"3.4.0": false, "3.6.16": false, "3.7.0-rc.0": false, "4.0.0": false,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					if r.URL.Path == "/version" {
						answer(w, http.StatusOK, `{"etcdserver":"`+version+`"}`)
						return
					}
					if refused {
						t.Errorf("asked for %s", r.URL.Path)
					}
					ok(w)
				})
				c := cl.client(t, func(cfg *gateway.Config) { cfg.RejectOldCluster = true })
				_, errPut := c.Put(within(t, time.Minute), "k", nil)
				_, errGet := c.Get(within(t, time.Minute), "k")
				if !refused {
					if errPut != nil || errGet != nil || len(cl.requests()) != 3 {
						t.Errorf("%v, %v, %d requests", errPut, errGet, len(cl.requests()))
					}
					return
				}
				_, errWatch := c.Watch(within(t, time.Minute), "k")
				for _, err := range []error{errPut, errGet, errWatch} {
					wantErr(t, err, list(gateway.ErrOldCluster),
						list(gateway.ErrUncertain, gateway.ErrUnavailable,
							context.DeadlineExceeded))
					if err != nil && !strings.Contains(err.Error(), version) {
						t.Errorf("%q does not name the version", err)
					}
				}
			})
		})
	}
}
