package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestInvalidAdminRequestsAreNotSent: invalid requests are not sent, because etcd would misread
// some of them.
func TestInvalidAdminRequestsAreNotSent(t *testing.T) {
	t.Parallel()
	type client = gateway.Client
	for name, call := range map[string]func(ctx context.Context, c *client) error{
		"option of another call": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberList(ctx, gateway.Limit(1))
			return err
		},
		"add nowhere": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberAdd(ctx, nil)
			return err
		},
		"add a host": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberAdd(ctx, []string{"a:1"})
			return err
		},
		"add a path": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberAdd(ctx, []string{"/a"})
			return err
		},
		"learner nowhere": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberAddAsLearner(ctx, nil)
			return err
		},
		"update nowhere": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberUpdate(ctx, 1, nil)
			return err
		},
		"promote nobody": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberPromote(ctx, 0)
			return err
		},
		"remove nobody": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().MemberRemove(ctx, 0)
			return err
		},
		"move to nobody": func(ctx context.Context, c *client) error {
			return c.Cluster().MoveLeader(ctx, 0)
		},
		"negative revision": func(ctx context.Context, c *client) error {
			_, err := c.Member("").HashKV(ctx, -1)
			return err
		},
		"status of no endpoint": func(ctx context.Context, c *client) error {
			_, err := c.Member("nonsense").Status(ctx)
			return err
		},
		"status over TLS": func(ctx context.Context, c *client) error {
			_, err := c.Member("https://a:1").Status(ctx)
			return err
		},
		"health over TLS": func(ctx context.Context, c *client) error {
			_, err := c.Member("https://a:1").Health(ctx)
			return err
		},
		"socket by a transport": func(ctx context.Context, c *client) error {
			_, err := c.Member("unix:///a").Version(ctx)
			return err
		},
		"unknown alarm": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().AlarmActivate(ctx, gateway.Alarm{MemberID: 1, Type: "nospace"})
			return err
		},
		"unknown alarm to disarm": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().AlarmDisarm(ctx, gateway.Alarm{MemberID: 1})
			return err
		},
		"unknown downgrade": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().Downgrade(ctx, "enable", "3.5")
			return err
		},
		"downgrade to nothing": func(ctx context.Context, c *client) error {
			_, err := c.Cluster().Downgrade(ctx, gateway.DowngradeEnable, " ")
			return err
		},
		"user without a name": func(ctx context.Context, c *client) error {
			return c.Auth().UserAdd(ctx, "", canaryPassword)
		},
		"user without a password": func(ctx context.Context, c *client) error {
			return c.Auth().UserAdd(ctx, "u", "")
		},
		"user name of bytes": func(ctx context.Context, c *client) error {
			return c.Auth().UserAddWithoutPassword(ctx, "\xff")
		},
		"password of bytes": func(ctx context.Context, c *client) error {
			return c.Auth().UserAdd(ctx, "u", canaryPassword+"\xff")
		},
		"change to bytes": func(ctx context.Context, c *client) error {
			return c.Auth().UserChangePassword(ctx, "u", canaryPassword+"\xff")
		},
		"change to nothing": func(ctx context.Context, c *client) error {
			return c.Auth().UserChangePassword(ctx, "u", "")
		},
		"log-in of bytes": func(ctx context.Context, c *client) error {
			_, err := c.Auth().Authenticate(ctx, "u", canaryPassword+"\xff")
			return err
		},
		"grant no role": func(ctx context.Context, c *client) error {
			return c.Auth().UserGrantRole(ctx, "u", "")
		},
		"role of bytes": func(ctx context.Context, c *client) error {
			return c.Auth().RoleAdd(ctx, "\xff")
		},
		"get no role": func(ctx context.Context, c *client) error {
			_, err := c.Auth().RoleGet(ctx, "")
			return err
		},
		"get no user": func(ctx context.Context, c *client) error {
			_, err := c.Auth().UserGet(ctx, "")
			return err
		},
		"unknown type": func(ctx context.Context, c *client) error {
			return c.Auth().RoleGrantPermission(ctx, "r", "read", "k")
		},
		"grant on no key": func(ctx context.Context, c *client) error {
			return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "")
		},
		"grant on an empty range": func(ctx context.Context, c *client) error {
			return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "k", gateway.Range("a"))
		},
		"grant with an option of a read": func(ctx context.Context, c *client) error {
			return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "k",
				gateway.Serializable())
		},
		"grant with an option of a delete": func(ctx context.Context, c *client) error {
			return c.Auth().RoleGrantPermission(ctx, "r", gateway.PermRead, "k", gateway.PrevKV())
		},
		"revoke on no key": func(ctx context.Context, c *client) error {
			return c.Auth().RoleRevokePermission(ctx, "r", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, sent := echoless(t, "", `{}`)
			err := call(within(t, time.Second), c)
			wantErr(t, err, list(gateway.ErrInvalid), list(gateway.ErrUncertain))
			noCanary(t, forms(err)...)
			if *sent != "" {
				t.Errorf("sent %s", *sent)
			}
		})
	}
}
