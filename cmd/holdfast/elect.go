package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/session"
)

const electHelp = `Wait until this process leads, run a command, and resign when the command has
ended. Without a command, print the leader's key and value and lead until a signal
arrives. VALUE is shown to others while this process leads. etcdctl elect and
clientv3's elections take part in the same elections.

With --http, programs on this host can ask for the leader: GET / names it as JSON, and
GET /leader has the status 200 while this process leads, otherwise 503.`

func electCommand(a *app) *cobra.Command {
	f := &holdFlags{}
	delay, address, priority := duration(0), "", 0
	cmd := &cobra.Command{
		Use:     "elect NAME VALUE [-- COMMAND...]",
		Short:   "Run a command while leading, or lead until a signal arrives",
		Long:    electHelp + exitOfHold,
		Example: "  holdfast elect scheduler $(hostname):8080 -- ./scheduler",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 2, 2)
			switch {
			case err != nil:
				return err
			case priority < 0 || priority > election.MaxPriority:
				return usagef("--priority %d is out of range; type a number from 0 to %d",
					priority, election.MaxPriority)
			}
			name, value, delay := names[0], names[1], time.Duration(delay)
			var page *leaderPage
			if address != "" {
				if page, err = newLeaderPage(cmd.Context(), address); err != nil {
					return err
				}
				defer page.close()
				a.complain(map[string]any{"http": page.url}, "the leader is shown at "+page.url)
			}
			return a.holdWhile(cmd, f, []string{name}, argv,
				func(ctx context.Context, s *session.Session) (*hold, error) {
					e := election.New(s, name, &election.Options{
						LockDelay: delay, MaxHold: time.Duration(f.maxHold), Priority: priority,
					})
					if page != nil {
						page.follow(ctx, e)
					}
					t, err := attempt[*election.Term]{
						try:   with(e.TryCampaign, value),
						wait:  with(e.Campaign, value),
						delay: delay,
					}.get(ctx, a, &f.waitFlags)
					if err != nil {
						return nil, err
					}
					if page != nil {
						page.leads(t)
					}
					h := newHold("leadership", t, t.Resign)
					h.value = value
					return h, nil
				})
		},
	}
	f.add(cmd, true)
	f.addMaxHold(cmd)
	cmd.Flags().StringVar(&address, "http", "",
		"serve the leader's name on this address, as 127.0.0.1:4040")
	cmd.Flags().IntVar(&priority, "priority", 0,
		"of the waiting candidates, the highest one leads next")
	cmd.Flags().Var(&delay, "lock-delay",
		"wait this long after a leader that did not resign; the same for all candidates")
	return cmd
}
