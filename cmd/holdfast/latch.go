package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/session"
)

const latchHelp = `Wait until something has happened N times, in any processes. A latch never closes
again.`

func latchCommand(a *app) *cobra.Command {
	return group("latch", "Wait until something has happened N times", latchHelp, "NAME --count N",
		latchRequest(a, "down", "Count once", (*barrier.Latch).CountDown),
		latchWait(a),
		latchRequest(a, "left", "Print how many counts are left",
			func(l *barrier.Latch, ctx context.Context) error {
				n, err := l.Count(ctx)
				if err != nil {
					return err
				}
				return a.print(map[string]any{"left": n}, strconv.Itoa(n))
			}),
	)
}

// latchRequest returns a command for a verb that waits only for etcd.
func latchRequest(
	a *app, verb, short string, do func(*barrier.Latch, context.Context) error,
) *cobra.Command {
	return latchVerb(verb, short, exitStatus(),
		func(cmd *cobra.Command, name string, count int) error {
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				return do(barrier.NewLatch(s, name, count), ctx)
			})
		})
}

func latchWait(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := latchVerb("wait", "Wait until the latch is open", exitOfWait,
		func(cmd *cobra.Command, name string, count int) error {
			if err := f.check(); err != nil {
				return err
			}
			s, err := a.open(cmd, f)
			if err != nil {
				return err
			}
			l := barrier.NewLatch(s, name, count)
			look := func(ctx context.Context) error {
				left, err := l.Count(ctx)
				if err == nil && left > 0 {
					err = errNotInTime
				}
				return err
			}
			return a.waitFor(cmd.Context(), f, look, l.Wait)
		})
	f.add(cmd, false)
	return cmd
}

// latchVerb returns the common part of all verbs: the name of the latch and its count.
func latchVerb(
	verb, short, exit string, run func(cmd *cobra.Command, name string, count int) error,
) *cobra.Command {
	count := 0
	cmd := &cobra.Command{
		Use:     verb + " NAME --count N",
		Short:   short,
		Long:    short + "." + exit,
		Example: "  holdfast latch " + verb + " ready --count 3",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 {
				return usagef("after how many counts does it open? type: holdfast latch %s %s "+
					"--count N", verb, args[0])
			}
			return run(cmd, args[0], count)
		},
	}
	cmd.Flags().IntVar(&count, "count", 0,
		"number of counts that open it; the same for all users of the name")
	return cmd
}
