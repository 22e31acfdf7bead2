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
		latchDown(a), latchWait(a), latchLeft(a))
}

func latchDown(a *app) *cobra.Command {
	return latchVerb("down", "Count once", exitStatus(),
		func(cmd *cobra.Command, name string, count int) error {
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				return barrier.NewLatch(s, name, count).CountDown(ctx)
			})
		})
}

func latchLeft(a *app) *cobra.Command {
	return latchVerb("left", "Print how many counts are left", exitStatus(),
		func(cmd *cobra.Command, name string, count int) error {
			c, err := a.dial()
			if err != nil {
				return err
			}
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			n, err := barrier.CountLatch(ctx, c, name, count)
			if err != nil {
				return err
			}
			return a.print(map[string]any{"left": n}, strconv.Itoa(n))
		})
}

func latchWait(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := latchVerb("wait", "Wait until the latch is open", exitOfWait,
		func(cmd *cobra.Command, name string, count int) error {
			if err := f.check(); err != nil {
				return err
			}
			look := func(ctx context.Context) error {
				left, err := barrier.CountLatch(ctx, a.client, name, count)
				if err == nil && left > 0 {
					err = errNotInTime
				}
				return err
			}
			return a.waitFor(cmd.Context(), f, look, func(ctx context.Context) error {
				return barrier.WaitLatch(ctx, a.client, name, count)
			})
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
