package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/shard"
)

const shardsHelp = `List the shards of a group with their owners. NEXT is the member that a shard
moves to, and ORDER a pause of the shard or a drain of its owner. The last rows are
drained members without shards.`

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
	t := a.table("SHARD", "OWNER", "VALUE", "FENCE", "NEXT", "ORDER")
	owners := map[string]bool{}
	for s, h := range v.Holders {
		if h == nil {
			h = &shard.Holder{}
		}
		owners[h.Member.ID] = true
		next := v.Assigned[s]
		if next == h.Member.ID {
			next = ""
		}
		order := ""
		if o, ok := v.Paused[s]; ok {
			order = "paused: " + o.Why
		} else if o, ok := v.Drained[h.Member.ID]; ok {
			order = "drained: " + o.Why
		}
		t.add(withValue(map[string]any{
			"shard": s, "owner": h.Member.ID, "fence": h.Fence, "key": h.Key, "next": next,
			"order": order,
		}, []byte(h.Value)),
			number(int64(s)), h.Member.ID, brief([]byte(h.Value)), number(h.Fence), next, order)
	}
	for _, id := range slices.Sorted(maps.Keys(v.Drained)) {
		if !owners[id] {
			order := "drained: " + v.Drained[id].Why
			t.add(map[string]any{"owner": id, "order": order}, "-", id, "", "-", "", order)
		}
	}
	return t.flush()
}
