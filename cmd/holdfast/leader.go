package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/election"
)

func leaderCommand(a *app) *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "leader NAME",
		Short: "Print what the leader shows",
		Long: "Print the value that the leader shows; exit 1 if nobody leads. With --watch, print it, and again whenever it\n" +
			"changes, an empty line while nobody leads, until a signal comes.",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, err := a.open(ctx, nil, nil)
			if err != nil {
				return err
			}
			e := election.New(s, args[0], nil)
			if watch {
				return a.watchLeader(ctx, e)
			}
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			l, err := e.Leader(ctx)
			switch {
			case errors.Is(err, election.ErrNoLeader):
				return nof("nobody leads %q", args[0])
			case err != nil:
				return err
			}
			return a.showLeader(&l)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, and print every change")
	return cmd
}

func (a *app) watchLeader(ctx context.Context, e *election.Election) error {
	for ev, err := range e.Observe(ctx) {
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

func (a *app) showLeader(l *election.Leader) (err error) {
	switch {
	case a.json && l == nil:
		return printJSON(stdout, nil)
	case a.json:
		return printJSON(stdout, map[string]any{
			"key": l.Key, "lease": l.Lease.String(), "fence": l.Fence, "value": l.Value,
			"revision": l.Revision,
		})
	case l == nil:
		_, err = fmt.Fprintln(stdout)
	default:
		_, err = fmt.Fprintln(stdout, clean(l.Value))
	}
	return err
}
