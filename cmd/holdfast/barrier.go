package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/session"
)

const (
	barrierHelp = `Make processes wait for each other. A barrier that is held or raised makes others
wait until it is down; enter makes N processes wait for each other.`

	barrierHoldHelp = `Hold a barrier up while a command runs. Without a command, raise the barrier
and return: it stays up until somebody types holdfast barrier release NAME.`

	barrierEnterHelp = `Wait until N processes have entered, run a command, and wait until all N
have left. Without a command, leave at once. The command also gets HOLDFAST_ROUND.
--wait bounds the wait for others to enter.`
)

func barrierCommand(a *app) *cobra.Command {
	return group("barrier", "Make processes wait for each other", barrierHelp, "NAME",
		barrierHold(a), barrierRelease(a), barrierWait(a), barrierEnter(a))
}

func barrierHold(a *app) *cobra.Command {
	f := &holdFlags{}
	cmd := &cobra.Command{
		Use:   "hold NAME [-- COMMAND...]",
		Short: "Hold a barrier up while a command runs, or until it is released",
		Long: barrierHoldHelp +
			exitStatus("the command's if there is one, 75 if the hold was lost"),
		Example: "  holdfast barrier hold migration -- ./migrate.sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			if err != nil {
				return err
			}
			if len(argv) == 0 {
				return a.request(cmd, func(ctx context.Context, s *session.Session) error {
					return barrier.New(s, names[0]).Raise(ctx)
				})
			}
			return a.holdWhile(cmd, f, names, argv,
				func(ctx context.Context, s *session.Session) (*hold, error) {
					ctx, cancel := a.bounded(ctx)
					defer cancel()
					b, err := barrier.New(s, names[0]).Hold(ctx)
					if err != nil {
						return nil, err
					}
					return newHold("barrier", b, b.Release), nil
				})
		},
	}
	f.addHold(cmd)
	return cmd
}

func barrierRelease(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "release NAME",
		Short: "Let down a barrier that was raised without a command",
		Long: "Let down a barrier that was raised without a command." +
			exitStatus("1 if it was not raised"),
		Example: "  holdfast barrier release migration",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				err := barrier.New(s, args[0]).Lower(ctx)
				if errors.Is(err, session.ErrNotHeld) {
					return nof("the barrier %q was not raised", args[0])
				}
				return err
			})
		},
	}
}

func barrierWait(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := &cobra.Command{
		Use:     "wait NAME",
		Short:   "Wait until a barrier is down",
		Long:    "Wait until a barrier is down. It leases nothing and only reads." + exitOfWait,
		Example: "  holdfast barrier wait migration -w 30",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			name := args[0]
			look := func(ctx context.Context) error {
				up, err := inspect.Up(ctx, a.client, name)
				if up {
					err = errNotInTime
				}
				return err
			}
			return a.waitFor(cmd.Context(), f, look, func(ctx context.Context) error {
				return barrier.Wait(ctx, a.client, name)
			})
		},
	}
	f.add(cmd, false)
	return cmd
}

func barrierEnter(a *app) *cobra.Command {
	f := &holdFlags{}
	parties := 0
	cmd := &cobra.Command{
		Use:     "enter NAME --parties N [-- COMMAND...]",
		Short:   "Wait until N have entered, run a command, wait until all have left",
		Long:    barrierEnterHelp + exitOfHold,
		Example: "  holdfast barrier enter step --parties 3 -- ./step.sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case parties < 1 || parties > barrier.MaxParties:
				return usagef("of how many? type: holdfast barrier enter %s --parties N, "+
					"from 1 to %d", names[0], barrier.MaxParties)
			}
			ctx := cmd.Context()
			s, err := a.openWith(ctx, &f.waitFlags, f.sessionOptions(cmd, argv))
			if err != nil {
				return err
			}
			return f.enter(ctx, a, barrier.NewDouble(s, names[0], parties), argv)
		},
	}
	f.add(cmd, false)
	cmd.Flags().IntVar(&parties, "parties", 0,
		"number of processes that go through together; the same for all users of the name")
	return cmd
}

func (f *holdFlags) enter(ctx context.Context, a *app, b *barrier.Double, argv []string) error {
	// A process learns whether the others have arrived only after it has entered, so there is no
	// try first. The wait is at least minAnswerLimit, so that Enter has time to find out.
	f.wait = max(f.wait, duration(time.Since(f.began)+minAnswerLimit))
	wctx, cancel := f.context(ctx)
	defer cancel()
	e, err := b.Enter(wctx)
	if err != nil {
		return f.refused(err)
	}
	if len(argv) > 0 {
		h := newHold("place at the barrier", e, e.Leave)
		h.env = []string{"HOLDFAST_ROUND=" + number(e.Round())}
		err = a.runCommand(ctx, h, f, argv)
	}
	if isLost(err) {
		return err
	}
	switch left := e.Leave(ctx); {
	case errors.Is(left, session.ErrNotHeld):
		return lostf("the place at the barrier was lost: %w", left)
	case left != nil && err == nil:
		return left
	}
	return err
}
