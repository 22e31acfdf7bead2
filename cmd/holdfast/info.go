package main

import (
	"context"
	"fmt"
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
		Long: "Show the settings of a name, its holders and waiters in their order, and which\n" +
			"holds were broken in the last 24 hours, by whom and why. The settings include a\n" +
			"counter, and the result of a once: attempt, fence and error, then the output." +
			exitStatus("1 if nobody uses the name"),
		Example: "  holdfast info jobs/nightly",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.whole(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			breaks, err := a.breaks(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(p.Members)+len(p.Settings)+len(breaks) == 0 && p.Nodes == 0 {
				return nof("nobody uses %q", args[0])
			}
			return a.showPlace(p, breaks)
		},
	}
}

// whole reads one name with the settings that no other verb needs.
func (a *app) whole(ctx context.Context, name string) (*inspect.Place, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return inspect.Whole(ctx, c, name)
}

func (a *app) breaks(ctx context.Context, name string) ([]inspect.Break, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return inspect.Breaks(ctx, a.client, name)
}

func (a *app) showPlace(p *inspect.Place, breaks []inspect.Break) error {
	if a.json {
		members := []map[string]any{}
		for i := range p.Members {
			members = append(members, memberObject(p, &p.Members[i]))
		}
		object := map[string]any{
			"recipe": p.Recipe, "name": p.Name, "settings": p.Settings, "members": members,
		}
		if p.Nodes > 0 {
			object["group_members"] = p.Nodes
		}
		if len(breaks) > 0 {
			object["broken"] = breaks
		}
		return printJSON(stdout, object)
	}
	head := []string{p.Recipe + " " + clean(p.Name)}
	for _, setting := range slices.Sorted(maps.Keys(p.Settings)) {
		head = append(head, setting+": "+settingText(setting, p.Settings[setting]))
	}
	if p.Nodes > 0 {
		head = append(head, "group members: "+number(p.Nodes))
	}
	for _, b := range breaks {
		text := stamp(b.Time) + " by " + b.By.String() + ": " + b.Reason
		if b.Holder != nil {
			text = "the hold of " + b.Holder.String() + " " + text
		}
		head = append(head, "broken: "+clean(fmt.Sprintf("%s (fence %d)", text, b.Fence)))
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

// settingText returns the value of a setting for a person, without most of a long one.
func settingText(setting, value string) string {
	switch setting {
	case "result":
		head, output, _ := strings.Cut(value, "\n")
		return strings.TrimSpace(clean(head) + " " + clean(brief([]byte(output))))
	case "assignment":
		return clean(brief([]byte(value)))
	}
	return clean(value)
}
