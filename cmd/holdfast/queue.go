package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

const queueHelp = `Hand out work, item by item, to consumers in any processes. An item that a
consumer does not finish is delivered again.`

func queueCommand(a *app) *cobra.Command {
	return group("queue", "Hand out work, item by item", queueHelp, "NAME",
		queuePut(a), queueGet(a), queueConsume(a), queuePeek(a), queueStats(a), queueDead(a),
		queueRedrive(a), queueRemove(a),
		queueSetting(a, "pause", "Stop deliveries; consumers finish the items that they have",
			(*queue.Queue).Pause),
		queueSetting(a, "resume", "End a pause", (*queue.Queue).Resume),
	)
}

// queueSetting returns a command for a verb that changes a setting of the queue.
func queueSetting(
	a *app, verb, short string, set func(*queue.Queue, context.Context) error,
) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Long:    short + "." + exitStatus(),
		Example: "  holdfast queue " + verb + " mails",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				return set(queue.New(s, args[0], nil), ctx)
			})
		},
	}
}
