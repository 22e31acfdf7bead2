package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/top"
)

const topHelp = `Show all names that begin with PREFIX in this terminal, live: holders and waiters,
deadlocks, semaphores, queues, schedules, shards, and the sessions with the time until
their leases end. It changes nothing. q or Ctrl-C ends it; the arrows and the space
bar scroll.`

func topCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "top [PREFIX]",
		Short:   "Show all names that begin with PREFIX live in the terminal",
		Long:    topHelp + exitStatus("64 if this is not a terminal"),
		Example: "  holdfast top jobs/",
		Args:    between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.top(cmd.Context(), strings.Join(args, ""))
		},
	}
}

func (a *app) top(ctx context.Context, prefix string) error {
	if a.json || top.Check(os.Stdin, os.Stdout) != nil {
		return usagef("top needs a terminal of a Unix system for its input and output; type: %s",
			strings.TrimSpace("holdfast ls "+prefix))
	}
	loading, cancel, err := a.listing(ctx)
	if err != nil {
		return err
	}
	b, err := board.Open(loading, a.client, prefix)
	cancel()
	if err != nil {
		return err
	}
	defer b.Close()
	a.log.mute(true) // a frame says that it is not up to date
	return top.Run(ctx, b, prefix, os.Stdin, os.Stdout)
}
