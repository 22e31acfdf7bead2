package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

const lsHelp = `List every holder and waiter of locks, elections, semaphores, barriers and queues at
names that begin with PREFIX. SINCE is when a hold with a --max-hold was granted,
and otherwise the start of the session, because etcd does not keep the time of a key.`

func lsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "ls [PREFIX]",
		Short:   "List the holders and waiters of all names that begin with PREFIX",
		Long:    lsHelp + exitStatus(),
		Example: "  holdfast ls jobs/",
		Args:    between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel, err := a.listing(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			all, err := a.members(ctx, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if err := a.list(all.Places); err != nil {
				return err
			}
			for _, text := range missing(all) {
				a.warn("%s", text)
			}
			return nil
		},
	}
}

// missing returns texts about the members that the user may not see.
func missing(all *inspect.Snapshot) (texts []string) {
	if all.RecordsOnly {
		texts = append(texts, "this user may not list the leases, so holders and waiters at names "+
			"that it may not read are missing")
	}
	if all.Hidden > 0 {
		texts = append(texts,
			fmt.Sprintf("%d leases have keys that this user may not see", all.Hidden))
	}
	return texts
}

func (a *app) list(places []inspect.Place) error {
	t := a.table("RECIPE", "NAME", "STATE", "FENCE", "SINCE", "OWNER")
	for _, p := range places {
		for i := range p.Members {
			m := &p.Members[i]
			object := memberObject(&p, m)
			object["recipe"], object["name"] = p.Recipe, p.Name
			t.add(object, p.Recipe, p.Name, p.State(m), number(m.Fence), since(m), owner(m))
		}
	}
	return t.flush()
}

// memberObject returns a member as JSON.
func memberObject(p *inspect.Place, m *inspect.Member) map[string]any {
	out := map[string]any{
		"key": m.Key, "lease": m.Lease.String(), "fence": m.Fence, "state": p.State(m),
		"holds": m.Holds, "value": m.Value,
	}
	if m.Session != nil {
		out["session"] = m.Session
	}
	if !m.Since.IsZero() {
		out["held_since"] = m.Since
	}
	return out
}

// owner returns a text that names the session of a member.
func owner(m *inspect.Member) string {
	switch {
	case m.Detached:
		return "nobody: the lock is detached"
	case m.Session != nil && m.Session.ParentKey != "":
		return m.Session.String() + " within " + m.Session.ParentKey
	case m.Session != nil:
		return m.Session.String()
	case m.Lease == 0:
		return "nobody: the key has no lease"
	}
	return "lease " + m.Lease.String() + ", of another library"
}

// since returns the time of the grant if it is known, and otherwise the start of a member's
// session.
func since(m *inspect.Member) string {
	switch {
	case !m.Since.IsZero():
		return stamp(m.Since)
	case m.Session == nil:
		return "-"
	}
	return stamp(m.Session.Started)
}
