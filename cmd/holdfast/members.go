package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/member"
)

const membersHelp = `List the members of a group. With --watch, list them again at every change,
until a signal arrives.`

func membersCommand(a *app) *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:     "members NAME",
		Short:   "List the members of a group",
		Long:    membersHelp + exitStatus("1 if there are none"),
		Example: "  holdfast members services/api",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.dial()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if watch {
				return a.watchMembers(ctx, args[0])
			}
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			v, err := member.Members(ctx, c, args[0])
			switch {
			case err != nil:
				return err
			case len(v.Members) == 0:
				return nof("%q has no members", args[0])
			}
			return a.showMembers(v)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "continue, and list them at every change")
	return cmd
}

// awaitAnswer reads a group within the command-timeout, because Observe and shard.Run would retry
// without an error. After that, outages are printed.
func (a *app) awaitAnswer(ctx context.Context, group string) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if _, err := member.Members(ctx, a.client, group); err != nil {
		return err
	}
	a.log.mute(false)
	return nil
}

func (a *app) watchMembers(ctx context.Context, name string) error {
	if err := a.awaitAnswer(ctx, name); err != nil {
		return err
	}
	for v, err := range member.Observe(ctx, a.client, name) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // a signal, the usual end
		case err != nil:
			return err
		}
		if err := a.showMembers(v); err != nil {
			return err
		}
	}
	return nil
}

// showMembers prints a table, or one object with --json.
func (a *app) showMembers(v member.View) error {
	if !a.json {
		t := a.table("ID", "VALUE", "WEIGHT", "ZONE", "LEASE")
		for _, m := range v.Members {
			t.add(nil, m.ID, brief([]byte(m.Value)), number(int64(m.Weight)), m.Zone,
				m.Lease.String())
		}
		return t.flush()
	}
	all := make([]any, len(v.Members))
	for i, m := range v.Members {
		all[i] = withValue(map[string]any{
			"id": m.ID, "weight": m.Weight, "zone": m.Zone, "lease": m.Lease.String(),
			"fence": m.Fence,
		}, []byte(m.Value))
	}
	return printJSON(stdout, map[string]any{"revision": v.Revision, "members": all})
}
