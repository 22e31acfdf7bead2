package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/session"
)

func barrierCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "barrier",
		Short: "Make processes wait for each other",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("no verb given; type: holdfast barrier hold|release|wait|enter NAME")
		},
	}
	cmd.AddCommand(barrierHold(a), barrierRelease(a), barrierWait(a), barrierEnter(a))
	return cmd
}

func barrierHold(a *app) *cobra.Command {
	f := &holdFlags{}
	cmd := &cobra.Command{
		Use:   "hold NAME [-- COMMAND...]",
		Short: "Hold a barrier up while a command runs, or until it is released",
		Long: "Hold a barrier up while a command runs. Without a command, raise it and return: it stays up until somebody types\n" +
			"holdfast barrier release NAME.",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 1, 1)
			if err == nil {
				err = f.check()
			}
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := a.open(ctx, nil, f.session(cmd, argv))
			if err != nil {
				return err
			}
			b := barrier.New(s, names[0])
			bctx, cancel := a.bounded(ctx)
			defer cancel()
			if len(argv) == 0 {
				return b.Raise(bctx)
			}
			r, err := b.Hold(bctx)
			if err != nil {
				return err
			}
			return a.keep(ctx, held{
				what: "barrier", names: names, keys: []string{r.Key()}, fence: r.Fence(), hold: r,
				release: r.Release,
			}, f, argv)
		},
	}
	f.addHold(cmd)
	return cmd
}

func barrierRelease(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "release NAME",
		Short:             "Let down a barrier that was raised without a command",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, err := a.open(ctx, nil, nil)
			if err != nil {
				return err
			}
			ctx, cancel := a.bounded(ctx)
			defer cancel()
			err = barrier.New(s, args[0]).Lower(ctx)
			if errors.Is(err, session.ErrNotHeld) {
				return nof("the barrier %q was not raised", args[0])
			}
			return err
		},
	}
}

func barrierWait(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := &cobra.Command{
		Use:               "wait NAME",
		Short:             "Wait until a barrier is down",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.waitFor(cmd, f,
				func(s *session.Session) (look, wait func(context.Context) error) {
					look = func(ctx context.Context) error {
						p, err := inspect.Front(ctx, a.client, args[0])
						if err == nil && p.Up() {
							err = errNotInTime
						}
						return err
					}
					return look, barrier.New(s, args[0]).Wait
				})
		},
	}
	f.add(cmd, false)
	return cmd
}

// waitFor waits without holding anything. look returns errNotInTime if it would have to wait.
func (a *app) waitFor(
	cmd *cobra.Command, f *waitFlags,
	on func(*session.Session) (look, wait func(context.Context) error),
) error {
	if err := f.check(); err != nil {
		return err
	}
	s, err := a.open(cmd.Context(), f, &session.Options{
		Name: cmd.CommandPath(), ParentKey: heldAbove(),
	})
	if err != nil {
		return err
	}
	look, wait := on(s)
	nothing := func(fn func(context.Context) error) func(context.Context) (struct{}, error) {
		return func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) }
	}
	_, err = attempt[struct{}]{
		try: nothing(look), wait: nothing(wait), taken: errNotInTime,
	}.get(cmd.Context(), a, f)
	return f.refused(err)
}

func barrierEnter(a *app) *cobra.Command {
	f := &holdFlags{}
	parties := 0
	cmd := &cobra.Command{
		Use:   "enter NAME --parties N [-- COMMAND...]",
		Short: "Wait until N have entered, run a command, wait until all have left",
		Long: "Wait until N have entered, run a command, and wait until all N have left. Without a command, leave at once.\n" +
			"The command also gets HOLDFAST_ROUND. --wait bounds the waiting for others to enter.",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case parties < 1 || parties > barrier.MaxParties:
				return usagef("of how many? type: holdfast barrier enter %s --parties N, "+
					"from 1 to %d", names[0], barrier.MaxParties)
			}
			if err := f.check(); err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := a.open(ctx, &f.waitFlags, f.session(cmd, argv))
			if err != nil {
				return err
			}
			return f.enter(ctx, a, barrier.NewDouble(s, names[0], parties), argv)
		},
	}
	f.add(cmd, false)
	cmd.Flags().IntVar(&parties, "parties", 0, "how many go through together")
	return cmd
}

func (f *holdFlags) enter(ctx context.Context, a *app, b *barrier.Double, argv []string) error {
	// A process learns whether the others have arrived only after it has entered, so there is no
	// try first. The wait is at least leastReach, so that Enter has time to find out.
	f.wait = max(f.wait, duration(time.Since(f.began)+leastReach))
	wctx, cancel := f.context(ctx)
	defer cancel()
	e, err := b.Enter(wctx)
	if err != nil {
		return f.refused(err)
	}
	if len(argv) > 0 {
		err = a.keepOn(ctx, held{
			what: "place at the barrier", keys: []string{e.Key()}, fence: e.Fence(), hold: e,
			env: []string{"HOLDFAST_ROUND=" + strconv.FormatInt(e.Round(), 10)},
		}, f, argv)
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
