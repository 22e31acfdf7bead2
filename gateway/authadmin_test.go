package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAPasswordWorksWhileAuthIsOff: a client with a password works while auth is off, logs in once
// it is on, and sends no more requests than needed.
func TestAPasswordWorksWhileAuthIsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		on, logins := false, 0
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			token := r.Header.Get("Authorization")
			switch {
			case r.URL.Path == "/v3/auth/authenticate":
				if logins++; !on {
					etcdError(w, 400, 9, "etcdserver: authentication is not enabled")
					return
				}
				answer(w, 200, login)
			case r.URL.Path == "/v3/auth/enable":
				on = true
				ok(w)
			case on && token == "":
				etcdError(w, 400, 3, "etcdserver: user name is empty")
			default:
				ok(w)
			}
		})
		c := cl.client(t, withUser)
		put := func() {
			t.Helper()
			if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
				t.Error(err)
			}
		}
		put()
		put()
		if logins != 1 {
			t.Errorf("%d log-ins while auth is off", logins)
		}
		if err := c.Auth().Enable(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		put()
		put()
		if logins != 2 {
			t.Errorf("%d log-ins once auth is on", logins)
		}
		if r := cl.requests(); r[len(r)-1].Header.Get("Authorization") != canaryToken {
			t.Error("no token was sent")
		}
		_, err := c.Auth().Authenticate(within(t, time.Minute), "other", canaryPassword)
		if err != nil {
			t.Error(err)
		}
	})
}

// TestEachMemberMayForgetItsToken: members forget tokens one by one, so each of them may reject one
// within one call.
func TestEachMemberMayForgetItsToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		var refused []int // members that have rejected a token
		cl := newCluster(t, 3, func(w http.ResponseWriter, r request) {
			switch {
			case r.URL.Path == "/v3/auth/authenticate":
				logins++
				answer(w, 200, fmt.Sprintf(`{"token":"t%d"}`, logins))
			case !slices.Contains(refused, r.member):
				refused = append(refused, r.member)
				etcdError(w, 401, 16, "etcdserver: invalid auth token")
			case len(refused) < 3:
				etcdError(w, 503, 14, "etcdserver: no leader")
			default:
				ok(w)
			}
		})
		if _, err := cl.client(t, withUser).Put(within(t, time.Minute), "k", nil); err != nil {
			t.Error(err)
		}
		if logins != 4 {
			t.Errorf("%d log-ins, and each of three members refused one token", logins)
		}
	})
}

func TestAuthAnswersAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			switch r.URL.Path {
			case "/v3/auth/status":
				answer(w, 200, `{`+header+`,"enabled":true,"authRevision":"18446744073709551615"}`)
			case "/v3/auth/user/list":
				answer(w, 200, `{`+header+`,"users":["b","a"]}`)
			case "/v3/auth/user/get", "/v3/auth/role/list":
				answer(w, 200, `{`+header+`,"roles":["d","c"]}`)
			case "/v3/auth/role/get":
				answer(w, 200, `{`+header+`,"perm":[{"key":"`+b64("k")+`"},
					{"permType":"READWRITE","key":"`+b64("a")+`","range_end":"AA=="},
					{"permType":9,"key":"`+b64("z")+`"}]}`)
			case "/v3/auth/authenticate":
				answer(w, 200, login)
			default:
				answer(w, 200, `{`+header+`}`)
			}
		})
		c := cl.client(t)
		ctx := within(t, time.Minute)
		if s, err := c.Auth().Status(ctx); err != nil || !s.Enabled ||
			s.Revision != biggest || s.ClusterID == 0 {
			t.Errorf("%+v, %v", s, err)
		}
		for what, call := range map[string]func() ([]string, error){
			"[a b]":     func() ([]string, error) { return c.Auth().UserList(ctx) },
			"[c d]":     func() ([]string, error) { return c.Auth().RoleList(ctx) },
			"[c d] too": func() ([]string, error) { return c.Auth().UserGet(ctx, "u") },
		} {
			if got, err := call(); err != nil || fmt.Sprint(got) != what[:5] {
				t.Errorf("%v, %v, want %s", got, err, what)
			}
		}
		perms, err := c.Auth().RoleGet(ctx, "r")
		want := []gateway.Permission{
			{Type: gateway.PermRead, Key: "k"},
			{Type: gateway.PermReadWrite, Key: "a", End: "\x00"},
			{Type: "9", Key: "z"},
		}
		if err != nil || !reflect.DeepEqual(perms, want) {
			t.Errorf("%+v, %v", perms, err)
		}
		a, err := c.Auth().Authenticate(ctx, "u", canaryPassword)
		if err != nil || string(a.Token) != canaryToken {
			t.Errorf("%+v, %v", a, err)
		}
		noCanary(t, forms(a)...) // the token, in every way in which the answer can be printed
		noCanary(t, forms(*a)...)
	})
}

// TestPasswordsNeverShow: neither errors nor the log contain a password, with any fault of the
// server or the network.
func TestPasswordsNeverShow(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(http.ResponseWriter, request){
		"refused":  says(400, 9, "etcdserver: user name already exists"),
		"denied":   says(403, 7, "etcdserver: permission denied"),
		"no etcd":  text(404, "404 page not found"),
		"nonsense": text(200, "<html>"),
		"dropped":  func(http.ResponseWriter, request) { drop() },
		"hanging":  func(_ http.ResponseWriter, r request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l logs
				cl := newCluster(t, 2, handle)
				c := cl.client(t, func(cfg *gateway.Config) { cfg.Logger = l.logger() })
				for _, call := range []func(ctx context.Context) error{
					func(ctx context.Context) error {
						return c.Auth().UserAdd(ctx, "u", canaryPassword)
					},
					func(ctx context.Context) error {
						return c.Auth().UserChangePassword(ctx, "u", canaryPassword)
					},
					func(ctx context.Context) error {
						_, err := c.Auth().Authenticate(ctx, "u", canaryPassword)
						return err
					},
				} {
					err := call(within(t, time.Second))
					wantErr(t, err, nil, nil)
					noCanary(t, forms(err)...)
				}
				noCanary(t, append(forms(c), l.String())...)
			})
		})
	}
}
