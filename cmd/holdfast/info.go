package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

func infoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info NAME",
		Short: "Show the settings, holders and waiters of a name",
		Long: "Show the settings of a name, and its holders and waiters in their order." +
			exitStatus("1 if nobody uses the name"),
		Example: "  holdfast info jobs/nightly",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.place(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(p.Members)+len(p.Settings) == 0 {
				return nof("nobody uses %q", args[0])
			}
			return a.showPlace(p)
		},
	}
}

func (a *app) showPlace(p *inspect.Place) error {
	if a.json {
		members := []map[string]any{}
		for i := range p.Members {
			members = append(members, memberObject(p, &p.Members[i]))
		}
		return printJSON(stdout, map[string]any{
			"recipe": p.Recipe, "name": p.Name, "settings": p.Settings, "members": members,
		})
	}
	head := []string{p.Recipe + " " + clean(p.Name)}
	for _, setting := range slices.Sorted(maps.Keys(p.Settings)) {
		head = append(head, setting+": "+clean(p.Settings[setting]))
	}
	if err := a.print(nil, strings.Join(head, "\n")); err != nil {
		return err
	}
	t := a.table("STATE", "FENCE", "VALUE", "SINCE", "OWNER", "KEY")
	for i := range p.Members {
		m := &p.Members[i]
		t.add(nil,
			p.State(m), number(m.Fence), brief([]byte(m.Value)), since(m), owner(m), m.Key)
	}
	return t.flush()
}
