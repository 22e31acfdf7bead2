package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAdminRefused: what cannot be right is not sent. etcd would take some of it for something else.
func TestAdminRefused(t *testing.T) {
	t.Parallel()
	type client = gateway.Client
	for name, call := range map[string]func(ctx context.Context, c *client) error{
		"option of another call": func(ctx context.Context, c *client) error {
			_, err := c.MemberList(ctx, gateway.Limit(1))
			return err
		},
		"add nowhere": func(ctx context.Context, c *client) error {
			_, err := c.MemberAdd(ctx, nil)
			return err
		},
		"add a host": func(ctx context.Context, c *client) error {
			_, err := c.MemberAdd(ctx, []string{"a:1"})
			return err
		},
		"add a path": func(ctx context.Context, c *client) error {
			_, err := c.MemberAdd(ctx, []string{"/a"})
			return err
		},
		"learner nowhere": func(ctx context.Context, c *client) error {
			_, err := c.MemberAddAsLearner(ctx, nil)
			return err
		},
		"update nowhere": func(ctx context.Context, c *client) error {
			_, err := c.MemberUpdate(ctx, 1, nil)
			return err
		},
		"promote nobody": func(ctx context.Context, c *client) error {
			_, err := c.MemberPromote(ctx, 0)
			return err
		},
		"remove nobody": func(ctx context.Context, c *client) error {
			_, err := c.MemberRemove(ctx, 0)
			return err
		},
		"move to nobody": func(ctx context.Context, c *client) error { return c.MoveLeader(ctx, 0) },
		"negative revision": func(ctx context.Context, c *client) error {
			_, err := c.HashKV(ctx, "", -1)
			return err
		},
		"status of no endpoint": func(ctx context.Context, c *client) error {
			_, err := c.Status(ctx, "nonsense")
			return err
		},
		"status over TLS": func(ctx context.Context, c *client) error {
			_, err := c.Status(ctx, "https://a:1")
			return err
		},
		"health over TLS": func(ctx context.Context, c *client) error {
			_, err := c.Health(ctx, "https://a:1")
			return err
		},
		"socket by a transport": func(ctx context.Context, c *client) error {
			_, err := c.Version(ctx, "unix:///a")
			return err
		},
		"unknown alarm": func(ctx context.Context, c *client) error {
			_, err := c.AlarmActivate(ctx, gateway.Alarm{MemberID: 1, Type: "nospace"})
			return err
		},
		"unknown alarm to disarm": func(ctx context.Context, c *client) error {
			_, err := c.AlarmDisarm(ctx, gateway.Alarm{MemberID: 1})
			return err
		},
		"unknown downgrade": func(ctx context.Context, c *client) error {
			_, err := c.Downgrade(ctx, "enable", "3.5")
			return err
		},
		"downgrade to nothing": func(ctx context.Context, c *client) error {
			_, err := c.Downgrade(ctx, gateway.DowngradeEnable, " ")
			return err
		},
		"user without a name": func(ctx context.Context, c *client) error {
			return c.UserAdd(ctx, "", canaryPassword)
		},
		"user without a password": func(ctx context.Context, c *client) error { return c.UserAdd(ctx, "u", "") },
		"user name of bytes": func(ctx context.Context, c *client) error {
			return c.UserAddWithoutPassword(ctx, "\xff")
		},
		"password of bytes": func(ctx context.Context, c *client) error {
			return c.UserAdd(ctx, "u", canaryPassword+"\xff")
		},
		"change to bytes": func(ctx context.Context, c *client) error {
			return c.UserChangePassword(ctx, "u", canaryPassword+"\xff")
		},
		"change to nothing": func(ctx context.Context, c *client) error { return c.UserChangePassword(ctx, "u", "") },
		"log-in of bytes": func(ctx context.Context, c *client) error {
			_, err := c.Authenticate(ctx, "u", canaryPassword+"\xff")
			return err
		},
		"grant no role": func(ctx context.Context, c *client) error { return c.UserGrantRole(ctx, "u", "") },
		"role of bytes": func(ctx context.Context, c *client) error { return c.RoleAdd(ctx, "\xff") },
		"get no role":   func(ctx context.Context, c *client) error { _, err := c.RoleGet(ctx, ""); return err },
		"get no user":   func(ctx context.Context, c *client) error { _, err := c.UserGet(ctx, ""); return err },
		"unknown type": func(ctx context.Context, c *client) error {
			return c.RoleGrantPermission(ctx, "r", "read", "k")
		},
		"grant on no key": func(ctx context.Context, c *client) error {
			return c.RoleGrantPermission(ctx, "r", gateway.PermRead, "")
		},
		"grant on an empty range": func(ctx context.Context, c *client) error {
			return c.RoleGrantPermission(ctx, "r", gateway.PermRead, "k", gateway.Range("a"))
		},
		"grant with an option of a read": func(ctx context.Context, c *client) error {
			return c.RoleGrantPermission(ctx, "r", gateway.PermRead, "k", gateway.Serializable())
		},
		"grant with an option of a delete": func(ctx context.Context, c *client) error {
			return c.RoleGrantPermission(ctx, "r", gateway.PermRead, "k", gateway.PrevKV())
		},
		"revoke on no key": func(ctx context.Context, c *client) error { return c.RoleRevokePermission(ctx, "r", "") },
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
