package gateway_test

import (
	"context"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// says200 makes a member that answers all requests with the same body.
func says200(body string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) { answer(w, 200, body) }
}

func TestMemberAnswersAreRead(t *testing.T) {
	t.Parallel()
	one := gateway.Member{
		ID: biggest, Name: "m0", PeerURLs: []string{"http://p:1"},
		ClientURLs: []string{"http://c:1", "http://d:1"},
	}
	two := gateway.Member{ID: 7, PeerURLs: []string{"http://q:1"}, IsLearner: true}
	const first = `{"ID":"18446744073709551615","name":"m0","peerURLs":["http://p:1"],` +
		`"clientURLs":["http://c:1","http://d:1"]}`
	const second = `{"ID":7,"peerURLs":["http://q:1"],"isLearner":true}`
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1,
			says200(`{`+header+`,"member":`+second+`,"members":[`+first+`,`+second+`]}`))
		c := cl.client(t)
		ctx := within(t, time.Minute)
		both := []gateway.Member{one, two}
		l, err := c.Cluster().MemberList(ctx)
		if err != nil || !reflect.DeepEqual(l.Members, both) ||
			l.ClusterID != 14841639068965178418 {
			t.Errorf("%+v, %v", l, err)
		}
		a, err := c.Cluster().MemberAdd(ctx, []string{"http://q:1"})
		if err != nil || !reflect.DeepEqual(a.Member, two) || !reflect.DeepEqual(a.Members, both) {
			t.Errorf("%+v, %v", a, err)
		}
		r, err := c.Cluster().MemberRemove(ctx, 8)
		if err != nil || !reflect.DeepEqual(r.Members, both) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestAMemberListIsNoRegression: the header of a member list has no revision, which does not count
// as a regression.
func TestAMemberListIsNoRegression(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			if r.URL.Path == "/v3/cluster/member/list" {
				answer(w, 200, `{"header":{"cluster_id":"14841639068965178418","raft_term":"2"},`+
					`"members":[{"ID":"1"}]}`)
				return
			}
			ok(w)
		})
		c := cl.client(t)
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cluster().MemberList(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
	})
}

// TestAdminCallsReturnTypedErrors checks the errors of calls about members, users and roles.
func TestAdminCallsReturnTypedErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, code int
		message      string
		is, not      []error
	}{
		{
			404, 5, "etcdserver: member not found", list(gateway.ErrNotFound),
			list(gateway.ErrLeaseNotFound),
		},
		{
			400, 9, "etcdserver: member ID already exist",
			list(gateway.ErrExists), list(gateway.ErrNotFound),
		},
		{400, 9, "etcdserver: Peer URLs already exists", list(gateway.ErrExists), nil},
		{400, 9, "etcdserver: user name already exists", list(gateway.ErrExists), nil},
		{400, 9, "etcdserver: role name already exists", list(gateway.ErrExists), nil},
		{400, 9, "etcdserver: user name not found", list(gateway.ErrNotFound), nil},
		{400, 9, "etcdserver: role name not found", list(gateway.ErrNotFound), nil},
		{400, 9, "etcdserver: role is not granted to the user", list(gateway.ErrNotFound), nil},
		{
			400, 9, "etcdserver: permission is not granted to the role",
			list(gateway.ErrNotFound), nil,
		},
		{
			412, 9, "etcdserver: authentication is not enabled",
			list(gateway.ErrAuthNotEnabled), list(gateway.ErrUnauthenticated),
		},
		// 3.5, defragment
		{
			500, 2, "auth: permission denied", list(gateway.ErrPermissionDenied),
			list(gateway.ErrUnavailable),
		},
		{
			404, 5, "etcdserver: requested lease not found",
			list(gateway.ErrLeaseNotFound), list(gateway.ErrNotFound),
		},
	} {
		t.Run(tt.message, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, says(tt.status, tt.code, tt.message))
				c := cl.client(t)
				_, err := c.Cluster().MemberRemove(within(t, time.Minute), 7)
				wantErr(t, err, tt.is,
					append(tt.not, gateway.ErrUncertain, context.DeadlineExceeded))
				err = c.Member("").Defragment(within(t, time.Minute))
				wantErr(t, err, tt.is, append(tt.not, gateway.ErrUncertain))
				if n := len(cl.requests()); n != 2 {
					t.Errorf("%d requests for two calls", n)
				}
			})
		})
	}
}

// TestAnAdminWriteWithoutAnAnswerFindsItsOwnEffect: after a lost answer some changes are uncertain.
// Others are sent again, and find their own effect.
func TestAnAdminWriteWithoutAnAnswerFindsItsOwnEffect(t *testing.T) {
	t.Parallel()
	type client = gateway.Client
	for name, tt := range map[string]struct {
		call    func(ctx context.Context, c *client) error
		again   string // the answer to a second try
		certain bool
	}{
		"member add": {call: func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberAdd(ctx, []string{"http://a:1"})
			return err
		}},
		"member remove": {call: func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberRemove(ctx, 1)
			return err
		}},
		"user add": {call: func(ctx context.Context, c *client) error {
			return c.Auth().UserAdd(ctx, "u", canaryPassword)
		}},
		"defragment": {call: func(ctx context.Context, c *client) error {
			return c.Member("").Defragment(ctx)
		}},
		"user delete": {
			func(ctx context.Context, c *client) error { return c.Auth().UserDelete(ctx, "u") },
			"user name not found", true,
		},
		"role add": {
			func(ctx context.Context, c *client) error { return c.Auth().RoleAdd(ctx, "u") },
			"role name already exists", true,
		},
		"role delete": {
			func(ctx context.Context, c *client) error { return c.Auth().RoleDelete(ctx, "u") },
			"role name not found", true,
		},
		"revoke role": {
			func(ctx context.Context, c *client) error {
				return c.Auth().UserRevokeRole(ctx, "u", "r")
			},
			"role is not granted to the user", true,
		},
		"grant role": {
			func(ctx context.Context, c *client) error {
				return c.Auth().UserGrantRole(ctx, "u", "r")
			},
			"", true,
		},
		"change password": {
			func(ctx context.Context, c *client) error {
				return c.Auth().UserChangePassword(ctx, "u", canaryPassword)
			},
			"", true,
		},
		"grant": {func(ctx context.Context, c *client) error {
			return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "k")
		}, "", true},
		"revoke": {
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleRevokePermission(ctx, "r", "k")
			},
			"permission is not granted to the role", true,
		},
		"move leader": {func(ctx context.Context, c *client) error {
			return c.Cluster().MoveLeader(ctx, 7)
		}, "", true},
		"auth enable": {
			func(ctx context.Context, c *client) error { return c.Auth().Enable(ctx) },
			"", true,
		},
		"auth disable": {func(ctx context.Context, c *client) error {
			return c.Auth().Disable(ctx)
		}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					switch {
					case r.n == 0:
						drop()
					case tt.again != "":
						etcdError(w, 400, 9, "etcdserver: "+tt.again)
					default:
						ok(w)
					}
				})
				err := tt.call(within(t, time.Minute), cl.client(t))
				if tt.certain {
					if err != nil {
						t.Error(err)
					}
					return
				}
				wantErr(t, err, list(gateway.ErrUncertain), nil)
				noCanary(t, forms(err)...)
				if n := len(cl.requests()); n != 1 {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

// TestAnUnhealthyClusterRefusesAChangeOfMembers: etcd rejects a change of members for a while after
// the previous one.
func TestAnUnhealthyClusterRefusesAChangeOfMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, firstN(3, says(503, 14, "etcdserver: unhealthy cluster")))
		if _, err := cl.client(t).Cluster().MemberRemove(within(t, time.Minute), 7); err != nil {
			t.Error(err)
		}
	})
}

// TestACallAboutOneMemberIsSentThereOnce: a call about one member is sent to the named endpoint,
// once.
func TestACallAboutOneMemberIsSentThereOnce(t *testing.T) {
	t.Parallel()
	type client = gateway.Client
	for name, call := range map[string]func(ctx context.Context, c *client, url string) error{
		"status": func(ctx context.Context, c *client, url string) error {
			_, err := c.Member(url).Status(ctx)
			return err
		},
		"defragment": func(ctx context.Context, c *client, url string) error {
			return c.Member(url).Defragment(ctx)
		},
		"hash": func(ctx context.Context, c *client, url string) error {
			_, err := c.Member(url).Hash(ctx)
			return err
		},
		"hash kv": func(ctx context.Context, c *client, url string) error {
			_, err := c.Member(url).HashKV(ctx, 1)
			return err
		},
		"snapshot": func(ctx context.Context, c *client, url string) error {
			_, err := c.Member(url).Snapshot(ctx)
			return err
		},
		"health": func(ctx context.Context, c *client, url string) error {
			_, err := c.Member(url).Health(ctx)
			return err
		},
		"version": func(ctx context.Context, c *client, url string) error {
			_, err := c.Member(url).Version(ctx)
			return err
		},
		"readyz": func(ctx context.Context, c *client, url string) error {
			return c.Member(url).Readyz(ctx)
		},
		"livez": func(ctx context.Context, c *client, url string) error {
			return c.Member(url).Livez(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 4, func(_ http.ResponseWriter, _ request) { drop() })
				c := cl.client(t, func(cfg *gateway.Config) { cfg.Endpoints = cl.urls[:3] })
				// the fourth is not an endpoint of the client
				for i, url := range append(cl.urls, cl.urls[1]+"/") {
					i %= 4
					if url == cl.urls[1]+"/" {
						i = 1
					}
					before := len(cl.requests())
					err := call(within(t, time.Minute), c, url)
					wantErr(t, err, list(gateway.ErrUnavailable), list(context.DeadlineExceeded))
					typed(t, err, name, cl.urls[i])
					if m := cl.members()[before:]; !reflect.DeepEqual(m, []int{i}) {
						t.Errorf("asked %v for %s", m, url)
					}
				}
				hung := newCluster(t, 1, func(_ http.ResponseWriter, r request) { hang(r) })
				c = hung.client(t)
				start := time.Now()
				err := call(within(t, 300*time.Millisecond), c, hung.urls[0])
				wantErr(t, err, list(context.DeadlineExceeded), nil)
				if took := time.Since(start); took != 300*time.Millisecond {
					t.Errorf("returned after %v", took)
				}
				go func() {
					time.Sleep(100 * time.Millisecond)
					_ = c.Close()
				}()
				wantErr(t, call(within(t, time.Minute), c, ""), list(gateway.ErrClosed), nil)
				wantErr(t, call(within(t, time.Minute), c, ""), list(gateway.ErrClosed), nil)
			})
		})
	}
}
