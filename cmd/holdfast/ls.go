package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

func lsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List who holds and who waits, for all names that begin with PREFIX",
		Long: "List every holder and waiter of locks, elections, semaphores, barriers and queues, of all names that begin with\n" +
			"PREFIX. SINCE is when the session began, since etcd does not keep the time of a key.",
		Args:              between(0, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) > 0 {
				prefix = args[0]
			}
			c, err := a.dial()
			if err != nil {
				return err
			}
			ctx, cancel, err := a.listing(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			all, err := inspect.All(ctx, c, a.viewer(), prefix)
			if err != nil {
				return err
			}
			if err := a.list(all.Places); err != nil {
				return err
			}
			if all.RecordsOnly {
				a.warn("this user may not list the leases, so holders and waiters at names that " +
					"it may not read are missing")
			}
			if all.Hidden > 0 {
				a.warn("%d leases have keys that this user may not see", all.Hidden)
			}
			return nil
		},
	}
}

func (a *app) viewer() inspect.Viewer {
	return inspect.Viewer{User: a.connect.user, Namespace: a.connect.namespace}
}

func (a *app) list(places []inspect.Place) error {
	rows := [][]string{{"RECIPE", "NAME", "STATE", "FENCE", "SINCE", "WHO"}}
	for _, p := range places {
		for i := range p.Members {
			m := &p.Members[i]
			if a.json {
				out := member(&p, m)
				out["recipe"], out["name"] = p.Recipe, p.Name
				if err := printJSON(stdout, out); err != nil {
					return err
				}
			}
			rows = append(rows, []string{
				p.Recipe, p.Name, p.State(m), strconv.FormatInt(m.Fence, 10), since(m), who(m),
			})
		}
	}
	if a.json {
		return nil
	}
	return table(rows...)
}

// member returns a member as JSON.
func member(p *inspect.Place, m *inspect.Member) map[string]any {
	out := map[string]any{
		"key": m.Key, "lease": m.Lease.String(), "fence": m.Fence, "state": p.State(m),
		"holds": m.Holds, "value": m.Value,
	}
	if m.Session != nil {
		out["session"] = m.Session
	}
	return out
}

// A line of text that names the session of a member.
func who(m *inspect.Member) string {
	switch {
	case m.Session != nil && m.Session.ParentKey != "":
		return m.Session.String() + " within " + m.Session.ParentKey
	case m.Session != nil:
		return m.Session.String()
	case m.Lease == 0:
		return "nobody: the key has no lease"
	}
	return "lease " + m.Lease.String() + ", of another library"
}

func since(m *inspect.Member) string {
	if m.Session == nil {
		return "-"
	}
	return stamp(m.Session.Started)
}
