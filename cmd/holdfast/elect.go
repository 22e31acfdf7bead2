package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/session"
)

type electFlags struct {
	holdFlags
	delay duration
}

func electCommand(a *app) *cobra.Command {
	f := &electFlags{}
	cmd := &cobra.Command{
		Use:   "elect NAME VALUE [-- COMMAND...]",
		Short: "Run a command while leading, or lead until a signal comes",
		Long: "Wait to lead, then run a command and resign. Without a command, print the leader's key and value and lead until a\n" +
			"signal comes. VALUE is what others see of the leader. etcdctl elect and clientv3's " +
			"elections take part.",
		Example:           "  holdfast elect scheduler $(hostname):8080 -- ./scheduler",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 2, 2)
			if err == nil {
				err = f.check()
			}
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := a.open(ctx, &f.waitFlags, f.session(cmd, argv))
			if err != nil {
				return err
			}
			h, err := f.campaign(ctx, a, s, names[0], names[1])
			if err != nil {
				return a.refused(ctx, &f.waitFlags, names[:1], err, election.ErrTaken)
			}
			return a.keep(ctx, h, &f.holdFlags, argv)
		},
	}
	f.add(cmd, true)
	cmd.Flags().Var(&f.delay, "lock-delay",
		"wait this long after a leader that did not resign; the same for all candidates")
	return cmd
}

func (f *electFlags) campaign(
	ctx context.Context, a *app, s *session.Session, name, value string,
) (held, error) {
	e := election.New(s, name, &election.Options{LockDelay: time.Duration(f.delay)})
	t, err := attempt[*election.Term]{
		try: func(ctx context.Context) (*election.Term, error) {
			return e.TryCampaign(ctx, value)
		},
		wait:  func(ctx context.Context) (*election.Term, error) { return e.Campaign(ctx, value) },
		taken: election.ErrTaken, delay: time.Duration(f.delay),
	}.get(ctx, a, &f.waitFlags)
	if err != nil {
		return held{}, err
	}
	return held{
		what: "leadership", names: []string{name}, keys: []string{t.Key()}, fence: t.Fence(),
		value: value, hold: t, release: t.Resign,
	}, nil
}
