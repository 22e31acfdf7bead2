package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

const (
	biggest = 1<<64 - 1 // member IDs use all 64 bits
	longest = time.Hour // the time of a call that only its context bounds
)

// TestAdminCallsSendTheirRequests checks the request of each call, its path, and its time limit.
func TestAdminCallsSendTheirRequests(t *testing.T) {
	t.Parallel()
	k, l, top := b64("k"), b64("l"), b64("\x00")
	type client = gateway.Client
	peers := []string{"http://a:1", "https://b:2"}
	for _, tt := range []struct {
		name, path, want string
		local            bool // works without a leader
		patience         time.Duration
		call             func(ctx context.Context, c *client) error
	}{
		{
			"member list", "cluster/member/list", `{"linearizable":true}`, false, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberList(ctx)
				return err
			},
		},
		{
			"member list, serializable", "cluster/member/list", `{"linearizable":false}`, true,
			time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberList(ctx, gateway.Serializable())
				return err
			},
		},
		{
			"member add", "cluster/member/add", `{"peerURLs":["http://a:1","https://b:2"]}`, false,
			10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberAdd(ctx, peers)
				return err
			},
		},
		{
			"learner", "cluster/member/add",
			`{"peerURLs":["http://a:1","https://b:2"],"isLearner":true}`,
			false, 10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberAddAsLearner(ctx, peers)
				return err
			},
		},
		{
			"promote", "cluster/member/promote", `{"ID":"18446744073709551615"}`, false,
			10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberPromote(ctx, biggest)
				return err
			},
		},
		{
			"update", "cluster/member/update", `{"ID":"7","peerURLs":["http://a:1","https://b:2"]}`,
			false, 10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberUpdate(ctx, 7, peers)
				return err
			},
		},
		{
			"remove", "cluster/member/remove", `{"ID":"7"}`, false, 10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().MemberRemove(ctx, 7)
				return err
			},
		},

		{
			"status", "maintenance/status", `{}`, true, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Member("").Status(ctx)
				return err
			},
		},
		{
			"alarms", "maintenance/alarm", `{"action":"GET"}`, true, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().AlarmList(ctx)
				return err
			},
		},
		{
			"activate", "maintenance/alarm",
			`{"action":"ACTIVATE","memberID":"18446744073709551615","alarm":"CORRUPT"}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().AlarmActivate(ctx, gateway.Alarm{
					MemberID: biggest, Type: gateway.AlarmCorrupt,
				})
				return err
			},
		},
		{
			"disarm", "maintenance/alarm",
			`{"action":"DEACTIVATE","memberID":"7","alarm":"NOSPACE"}`, false, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().AlarmDisarm(ctx, gateway.Alarm{
					MemberID: 7, Type: gateway.AlarmNoSpace,
				})
				return err
			},
		},
		{
			"defragment", "maintenance/defragment", `{}`, true, longest,
			func(ctx context.Context, c *client) error { return c.Member("").Defragment(ctx) },
		},
		{
			"hash", "maintenance/hash", `{}`, true, longest,
			func(ctx context.Context, c *client) error {
				_, err := c.Member("").Hash(ctx)
				return err
			},
		},
		{
			"hash kv", "maintenance/hashkv", `{}`, true, longest,
			func(ctx context.Context, c *client) error {
				_, err := c.Member("").HashKV(ctx, 0)
				return err
			},
		},
		{
			"hash kv at a revision", "maintenance/hashkv", `{"revision":"9223372036854775807"}`,
			true, longest,
			func(ctx context.Context, c *client) error {
				_, err := c.Member("").HashKV(ctx, 1<<63-1)
				return err
			},
		},
		{
			"move leader", "maintenance/transfer-leadership", `{"targetID":"18446744073709551615"}`,
			true, 10 * time.Second,
			func(ctx context.Context, c *client) error {
				return c.Cluster().MoveLeader(ctx, biggest)
			},
		},
		{
			"downgrade: validate", "maintenance/downgrade", `{"action":"VALIDATE","version":"3.5"}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().Downgrade(ctx, gateway.DowngradeValidate, "3.5")
				return err
			},
		},
		{
			"downgrade: enable", "maintenance/downgrade", `{"action":"ENABLE","version":"3.5"}`,
			false, 10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().Downgrade(ctx, gateway.DowngradeEnable, "3.5")
				return err
			},
		},
		{
			"downgrade: cancel", "maintenance/downgrade", `{"action":"CANCEL"}`, false,
			10 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Cluster().Downgrade(ctx, gateway.DowngradeCancel, "")
				return err
			},
		},

		{
			"auth enable", "auth/enable", `{}`, false, time.Second,
			func(ctx context.Context, c *client) error { return c.Auth().Enable(ctx) },
		},
		{
			"auth disable", "auth/disable", `{}`, false, time.Second,
			func(ctx context.Context, c *client) error { return c.Auth().Disable(ctx) },
		},
		{
			"auth status", "auth/status", `{}`, true, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Auth().Status(ctx)
				return err
			},
		},
		{
			"authenticate", "auth/authenticate", `{"name":"u","password":"<p&>"}`, false,
			2 * time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Auth().Authenticate(ctx, "u", "<p&>")
				return err
			},
		},
		{
			"user add", "auth/user/add", `{"name":"u","password":"p"}`, false, 10 * time.Second,
			func(ctx context.Context, c *client) error { return c.Auth().UserAdd(ctx, "u", "p") },
		},
		{
			"user add without password", "auth/user/add",
			`{"name":"u","options":{"no_password":true}}`,
			false, 10 * time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().UserAddWithoutPassword(ctx, "u")
			},
		},
		{
			"user get", "auth/user/get", `{"name":"u"}`,
			true, time.Second, func(ctx context.Context, c *client) error {
				_, err := c.Auth().UserGet(ctx, "u")
				return err
			},
		},
		{
			"user list", "auth/user/list", `{}`, true, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Auth().UserList(ctx)
				return err
			},
		},
		{
			"user delete", "auth/user/delete", `{"name":"u"}`, false, time.Second,
			func(ctx context.Context, c *client) error { return c.Auth().UserDelete(ctx, "u") },
		},
		{
			"change password", "auth/user/changepw", `{"name":"u","password":"p"}`, false,
			time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().UserChangePassword(ctx, "u", "p")
			},
		},
		{
			"grant role", "auth/user/grant", `{"user":"u","role":"r"}`, false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().UserGrantRole(ctx, "u", "r")
			},
		},
		{
			"revoke role", "auth/user/revoke", `{"name":"u","role":"r"}`, false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().UserRevokeRole(ctx, "u", "r")
			},
		},
		{
			"role add", "auth/role/add", `{"name":"r"}`, false, time.Second,
			func(ctx context.Context, c *client) error { return c.Auth().RoleAdd(ctx, "r") },
		},
		{
			"role get", "auth/role/get", `{"role":"r"}`,
			true, time.Second, func(ctx context.Context, c *client) error {
				_, err := c.Auth().RoleGet(ctx, "r")
				return err
			},
		},
		{
			"role list", "auth/role/list", `{}`, true, time.Second,
			func(ctx context.Context, c *client) error {
				_, err := c.Auth().RoleList(ctx)
				return err
			},
		},
		{
			"role delete", "auth/role/delete", `{"role":"r"}`, false, time.Second,
			func(ctx context.Context, c *client) error { return c.Auth().RoleDelete(ctx, "r") },
		},
		{
			"grant on a key", "auth/role/grant",
			`{"name":"r","perm":{"permType":"READ","key":"` + k + `"}}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "k")
			},
		},
		{
			"grant on a prefix", "auth/role/grant",
			`{"name":"r","perm":{"permType":"WRITE","key":"` + k + `","range_end":"` + l + `"}}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermWrite, "k",
					gateway.Prefix())
			},
		},
		{
			"grant on a range", "auth/role/grant",
			`{"name":"r","perm":{"permType":"READWRITE","key":"` + k +
				`","range_end":"` + b64("z") + `"}}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermReadWrite, "k",
					gateway.Range("z"))
			},
		},
		{
			"grant on all keys", "auth/role/grant",
			`{"name":"r","perm":{"permType":"READ","key":"` + top + `","range_end":"` + top + `"}}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "",
					gateway.Prefix())
			},
		},
		{
			"grant from a key on", "auth/role/grant",
			`{"name":"r","perm":{"permType":"READ","key":"` + k + `","range_end":"` + top + `"}}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "k",
					gateway.FromKey())
			},
		},
		{
			"revoke on a key", "auth/role/revoke", `{"role":"r","key":"` + k + `"}`, false,
			time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleRevokePermission(ctx, "r", "k")
			},
		},
		{
			"revoke on a prefix", "auth/role/revoke",
			`{"role":"r","key":"` + k + `","range_end":"` + l + `"}`,
			false, time.Second,
			func(ctx context.Context, c *client) error {
				return c.Auth().RoleRevokePermission(ctx, "r", "k", gateway.Prefix())
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// the namespace does not apply to them
			c, r, sent := echoless(t, "space/", `{"token":"t"}`)
			if err := tt.call(within(t, longest), c); err != nil {
				t.Error(err)
			}
			sameJSON(t, *sent, tt.want)
			if r.Method != http.MethodPost || r.URL.String() != "http://a:1/v3/"+tt.path {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			if r.Header.Get("Accept") != "application/json" {
				t.Errorf("headers %v", r.Header)
			}
			if (r.Header.Get("Grpc-Metadata-Hasleader") == "true") == tt.local {
				t.Errorf("headers %v: without a leader only some calls work", r.Header)
			}
			var ms int64
			n, _ := fmt.Sscanf(r.Header.Get("Grpc-Timeout"), "%dm", &ms)
			if d := time.Duration(ms) * time.Millisecond; n != 1 ||
				d > tt.patience || d < tt.patience*3/4 {
				t.Errorf("Grpc-Timeout %q, want %v", r.Header.Get("Grpc-Timeout"), tt.patience)
			}
		})
	}
}
