package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
			s, err := a.open(ctx, nil)
			if err != nil {
				return err
			}
			e := election.New(s, args[0])
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
			a.showLeader(&l)
			return nil
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, and print every change")
	return cmd
}

func (a *app) watchLeader(ctx context.Context, e *election.Election) error {
	for ev, err := range e.Observe(ctx) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // by a signal, which is how this is ended
		case err != nil:
			return err
		}
		a.showLeader(ev.Leader)
	}
	return nil
}

func (a *app) showLeader(l *election.Leader) {
	switch {
	case a.json && l == nil:
		printJSON(os.Stdout, nil)
	case a.json:
		printJSON(os.Stdout, map[string]any{"key": l.Key, "lease": l.Lease.String(), "fence": l.Fence, "value": l.Value, "revision": l.Revision})
	case l == nil:
		fmt.Println()
	default:
		fmt.Println(clean(l.Value))
	}
}
