package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/session"
)

func latchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "latch",
		Short: "Wait until something has happened N times",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("no verb given; type: holdfast latch down|wait|left NAME --count N")
		},
	}
	cmd.AddCommand(
		latchVerb(a, "down", "Count once", func(ctx context.Context, l *barrier.Latch) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			return l.CountDown(ctx)
		}),
		latchVerb(a, "wait", "Wait until the latch is open", func(ctx context.Context, l *barrier.Latch) error { return l.Wait(ctx) }),
		latchVerb(a, "left", "Print how many counts are left", func(ctx context.Context, l *barrier.Latch) error {
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			n, err := l.Count(ctx)
			switch {
			case err != nil:
				return err
			case a.json:
				return printJSON(stdout, map[string]any{"left": n})
			}
			_, err = fmt.Fprintln(stdout, n)
			return err
		}),
	)
	return cmd
}

// latchVerb is one of the verbs; all name the latch in the same way.
func latchVerb(a *app, verb, short string, do func(context.Context, *barrier.Latch) error) *cobra.Command {
	f := &waitFlags{}
	count := 0
	cmd := &cobra.Command{
		Use:               verb + " NAME --count N",
		Short:             short,
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 {
				return usagef("after how many counts does it open? type: holdfast latch %s %s --count N", verb, args[0])
			}
			return a.waitFor(cmd, f, func(ctx context.Context, s *session.Session) error {
				return do(ctx, barrier.NewLatch(s, args[0], count))
			})
		},
	}
	if verb == "wait" {
		f.add(cmd, false)
	}
	cmd.Flags().IntVar(&count, "count", 0, "how many counts open it; the same for all users of the name")
	return cmd
}
