package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/session"
)

const leaderHelp = `Print the value that the leader shows. With --watch, print it, and again at
every change, until a signal arrives; an empty line means that there is no leader.`

func leaderCommand(a *app) *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:     "leader NAME",
		Short:   "Print the leader's value",
		Long:    leaderHelp + exitStatus("1 if there is no leader"),
		Example: "  holdfast leader scheduler",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch {
				return a.watchLeader(cmd, args[0])
			}
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				l, err := election.New(s, args[0], nil).Leader(ctx)
				switch {
				case errors.Is(err, election.ErrNoLeader):
					return nof("nobody leads %q", args[0])
				case err != nil:
					return err
				}
				return a.showLeader(&l)
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "continue, and print every change")
	return cmd
}

func (a *app) watchLeader(cmd *cobra.Command, name string) error {
	s, err := a.open(cmd, nil)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	for ev, err := range election.New(s, name, nil).Observe(ctx) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // a signal, the usual end
		case err != nil:
			return err
		}
		if err := a.showLeader(ev.Leader); err != nil {
			return err
		}
	}
	return nil
}

// showLeader prints a leader. l is nil if there is none.
func (a *app) showLeader(l *election.Leader) error {
	if l == nil {
		return a.print(nil, "")
	}
	return a.print(map[string]any{
		"key": l.Key, "lease": l.Lease.String(), "fence": l.Fence, "value": l.Value,
		"revision": l.Revision,
	}, clean(l.Value))
}
