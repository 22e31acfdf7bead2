package main

import (
	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/shard"
)

const shardsHelp = `List the shards of a group with their owners. NEXT is the member that a shard
moves to.`

func shardsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "shards NAME",
		Short:   "List the shards of a group",
		Long:    shardsHelp + exitStatus("1 if there are none"),
		Example: "  holdfast shards tenants",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.dial()
			if err != nil {
				return err
			}
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			for v, err := range shard.Observe(ctx, c, args[0]) {
				switch {
				case err != nil:
					return err
				case len(v.Holders) == 0:
					return nof("%q has no shards", args[0])
				}
				return a.showShards(v)
			}
			return nil
		},
	}
}

func (a *app) showShards(v shard.View) error {
	t := a.table("SHARD", "OWNER", "VALUE", "FENCE", "NEXT")
	for s, h := range v.Holders {
		if h == nil {
			h = &shard.Holder{}
		}
		next := v.Assigned[s]
		if next == h.Member.ID {
			next = ""
		}
		t.add(withValue(map[string]any{
			"shard": s, "owner": h.Member.ID, "fence": h.Fence, "key": h.Key, "next": next,
		}, []byte(h.Member.Value)),
			number(int64(s)), h.Member.ID, brief([]byte(h.Member.Value)), number(h.Fence), next)
	}
	return t.flush()
}
