package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

type semaphoreFlags struct {
	holdFlags
	limit, weight int
}

func semaphoreCommand(a *app) *cobra.Command {
	f := &semaphoreFlags{}
	cmd := &cobra.Command{
		Use:   "semaphore NAME --limit N [-- COMMAND...]",
		Short: "Run a command under one of N permits",
		Long: "Run a command under a permit, of which all users of the name have N together. Without a command, print the\n" +
			"permit's key and hold it until a signal comes. All must type the same limit.",
		Example:           "  holdfast semaphore gpus --limit 8 --weight 2 -- ./train.sh",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case f.limit < 1:
				return usagef("how many permits are there? type: holdfast semaphore %s --limit 8 "+
					"-- COMMAND", names[0])
			case f.weight < 1 || f.weight > f.limit:
				return usagef("--weight %d is not between 1 and the limit of %d; type another",
					f.weight, f.limit)
			}
			if err := f.check(); err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := a.open(ctx, &f.waitFlags, f.session(cmd, argv))
			if err != nil {
				return err
			}
			h, err := f.acquire(ctx, a, s, names[0])
			if err != nil {
				return a.refused(ctx, &f.waitFlags, names, err, semaphore.ErrFull)
			}
			return a.keep(ctx, h, &f.holdFlags, argv)
		},
	}
	f.add(cmd, true)
	cmd.Flags().IntVar(&f.limit, "limit", 0, "how many permits there are")
	cmd.Flags().IntVar(&f.weight, "weight", 1, "how many of them to take")
	return cmd
}

func (f *semaphoreFlags) acquire(
	ctx context.Context, a *app, s *session.Session, name string,
) (held, error) {
	m := semaphore.New(s, name, f.limit)
	p, err := attempt[*semaphore.Permit]{
		try: func(ctx context.Context) (*semaphore.Permit, error) {
			return m.TryAcquire(ctx, f.weight)
		},
		wait: func(ctx context.Context) (*semaphore.Permit, error) {
			return m.Acquire(ctx, f.weight)
		},
		taken: semaphore.ErrFull,
	}.get(ctx, a, &f.waitFlags)
	if err != nil {
		return held{}, err
	}
	return held{
		what: "permit", names: []string{name}, keys: []string{p.Key()}, fence: p.Fence(), hold: p,
		release: p.Release,
	}, nil
}
