package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

func infoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "info NAME",
		Short:             "Show all there is to know of a name",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
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

// place reads one name.
func (a *app) place(ctx context.Context, name string) (*inspect.Place, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return inspect.One(ctx, c, name)
}

func (a *app) showPlace(p *inspect.Place) error {
	if a.json {
		members := []map[string]any{}
		for i := range p.Members {
			members = append(members, member(p, &p.Members[i]))
		}
		return printJSON(stdout, map[string]any{
			"recipe": p.Recipe, "name": p.Name, "settings": p.Settings, "members": members,
		})
	}
	head := []string{p.Recipe + " " + clean(p.Name)}
	for _, what := range slices.Sorted(maps.Keys(p.Settings)) {
		head = append(head, what+": "+clean(p.Settings[what]))
	}
	if _, err := fmt.Fprintln(stdout, strings.Join(head, "\n")); err != nil {
		return err
	}
	rows := [][]string{{"STATE", "FENCE", "VALUE", "SINCE", "WHO", "KEY"}}
	for i := range p.Members {
		m := &p.Members[i]
		rows = append(rows, []string{
			p.State(m), strconv.FormatInt(m.Fence, 10), brief([]byte(m.Value)), since(m), who(m), m.Key,
		})
	}
	return table(rows...)
}
