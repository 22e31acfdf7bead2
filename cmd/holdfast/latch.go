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
		latchVerb(a, "down", "Count once", (*barrier.Latch).CountDown),
		latchWait(a),
		latchVerb(a, "left", "Print how many counts are left",
			func(l *barrier.Latch, ctx context.Context) error {
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

// latchVerb returns a command for a verb that waits only for etcd.
func latchVerb(
	a *app, verb, short string, do func(*barrier.Latch, context.Context) error,
) *cobra.Command {
	return latchNamed(verb, short, func(cmd *cobra.Command, name string, count int) error {
		s, err := a.open(cmd.Context(), nil, &session.Options{
			Name: cmd.CommandPath(), ParentKey: heldAbove(),
		})
		if err != nil {
			return err
		}
		ctx, cancel := a.bounded(cmd.Context())
		defer cancel()
		return do(barrier.NewLatch(s, name, count), ctx)
	})
}

func latchWait(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := latchNamed("wait", "Wait until the latch is open",
		func(cmd *cobra.Command, name string, count int) error {
			return a.waitFor(cmd, f, func(s *session.Session) (look, wait func(context.Context) error) {
				l := barrier.NewLatch(s, name, count)
				look = func(ctx context.Context) error {
					left, err := l.Count(ctx)
					if err == nil && left > 0 {
						err = errNotInTime
					}
					return err
				}
				return look, l.Wait
			})
		})
	f.add(cmd, false)
	return cmd
}

// latchNamed returns the common part of all verbs: the name of the latch and its count.
func latchNamed(
	verb, short string, run func(cmd *cobra.Command, name string, count int) error,
) *cobra.Command {
	count := 0
	cmd := &cobra.Command{
		Use:               verb + " NAME --count N",
		Short:             short,
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 {
				return usagef("after how many counts does it open? type: holdfast latch %s %s "+
					"--count N", verb, args[0])
			}
			return run(cmd, args[0], count)
		},
	}
	cmd.Flags().IntVar(&count, "count", 0,
		"how many counts open it; the same for all users of the name")
	return cmd
}
