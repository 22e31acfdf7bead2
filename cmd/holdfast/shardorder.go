package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/shard"
)

// order is an order of an operator about a shard or a member, with a reason.
type order = func(ctx context.Context, c *gateway.Client, name, subject, why string) error

// shardOrder returns a command for an order. An order with an effect needs a reason; one without
// ends an earlier order.
func shardOrder(
	a *app, verb, subject, short, effect, example string, do order,
) *cobra.Command {
	reason, usage, long := "", verb+" NAME "+subject, short+"."
	if effect != "" {
		usage += " --reason TEXT"
		example += " --reason 'a new disk'"
		long = "This " + effect + ".\nThe reason is stored. If --command-timeout ends first, the " +
			"order stays in force."
	}
	cmd := &cobra.Command{
		Use:     usage,
		Short:   short,
		Long:    long + exitStatus(),
		Example: "  holdfast shard " + verb + " tenants " + example,
		Args:    between(2, 2), //nolint:mnd // a name and a subject
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if effect != "" && strings.TrimSpace(reason) == "" {
			return usagef("for which reason? type: holdfast shard %s %s %s --reason TEXT",
				verb, args[0], args[1])
		}
		return a.requestOf(cmd, func(ctx context.Context, c *gateway.Client) error {
			return do(ctx, c, args[0], args[1], reason)
		})
	}
	if effect != "" {
		cmd.Flags().StringVar(&reason, "reason", "", "the reason, which holdfast shards shows")
	}
	return cmd
}

// onShard returns an order whose subject is a shard.
func onShard(do func(context.Context, *gateway.Client, string, int, string) error) order {
	return func(ctx context.Context, c *gateway.Client, name, subject, why string) error {
		n, err := strconv.Atoi(subject)
		if err != nil || n < 0 || n >= shard.MaxShards {
			return usagef("%q is no number of a shard; type one from 0", subject)
		}
		return do(ctx, c, name, n, why)
	}
}

// pauseShard is [shard.Pause] for a shard that the group has, as far as the number is known,
// because a wrong number would look as if the shard had been paused.
func pauseShard(ctx context.Context, c *gateway.Client, name string, n int, why string) error {
	for v, err := range shard.Observe(ctx, c, name) {
		switch {
		case err != nil:
			return err
		case len(v.Holders) > 0 && n >= len(v.Holders):
			return usagef("%q has %d shards, from 0 on; type another number than %d",
				name, len(v.Holders), n)
		}
		break
	}
	return shard.Pause(ctx, c, name, n, why)
}
