package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

const semaphoreHelp = `Run a command under a permit, and release the permit when the command has
ended. All users of the name share N permits, and must type the same limit. Without
a command, print the permit's key and hold the permit until a signal arrives.`

func semaphoreCommand(a *app) *cobra.Command {
	f := &holdFlags{}
	limit, weight := 0, 0
	cmd := &cobra.Command{
		Use:     "semaphore NAME --limit N [-- COMMAND...]",
		Short:   "Run a command under one of N permits, or hold it until a signal arrives",
		Long:    semaphoreHelp + exitOfHold,
		Example: "  holdfast semaphore gpus --limit 8 --weight 2 -- ./train.sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case limit < 1:
				return usagef("how many permits are there? type: holdfast semaphore %s --limit 8 "+
					"-- COMMAND", names[0])
			case weight < 1 || weight > limit:
				return usagef("--weight %d is not between 1 and the limit of %d; type another",
					weight, limit)
			}
			return a.holdWhile(cmd, f, names, argv,
				func(ctx context.Context, s *session.Session) (*hold, error) {
					m := semaphore.New(s, names[0], limit,
						&semaphore.Options{MaxHold: time.Duration(f.maxHold)})
					p, err := attempt[*semaphore.Permit]{
						try: with(m.TryAcquire, weight), wait: with(m.Acquire, weight),
					}.get(ctx, a, &f.waitFlags)
					if err != nil {
						return nil, err
					}
					return newHold("permit", p, p.Release), nil
				})
		},
	}
	f.add(cmd, true)
	f.addMaxHold(cmd)
	cmd.Flags().IntVar(&limit, "limit", 0, "number of permits; the same for all users of the name")
	cmd.Flags().IntVar(&weight, "weight", 1, "number of permits to take")
	return cmd
}
