package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func queueCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Hand out work, item by item",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("no verb given; type: holdfast queue " +
				"put|get|consume|peek|stats|dead|redrive|pause|resume NAME")
		},
	}
	cmd.AddCommand(
		queuePut(a), queueGet(a), queueConsume(a), queuePeek(a), queueStats(a), queueDead(a),
		queueRedrive(a),
		queueSwitch(a, "pause", "Stop the delivery to all consumers; what they have they finish",
			(*queue.Queue).Pause),
		queueSwitch(a, "resume", "End a pause", (*queue.Queue).Resume),
	)
	return cmd
}

// queueSwitch returns a command for a verb that changes a setting of the queue.
func queueSwitch(
	a *app, verb, short string, set func(*queue.Queue, context.Context) error,
) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME",
		Short:             short,
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd, args[0], func(ctx context.Context, q *queue.Queue) error {
				return set(q, ctx)
			})
		},
	}
}

// openQueue makes a session, and the queue of the given name.
func (a *app) openQueue(
	cmd *cobra.Command, f *waitFlags, name string, opts *queue.Options,
) (*queue.Queue, error) {
	s, err := a.open(cmd.Context(), f, &session.Options{
		Name: cmd.CommandPath(), ParentKey: heldAbove(),
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		a.log.mute(true) // without a wait, the verb's own error reports the outage
	}
	return queue.New(s, name, opts), nil
}

// ask runs fn, which waits only for etcd.
func (a *app) ask(
	cmd *cobra.Command, name string, fn func(context.Context, *queue.Queue) error,
) error {
	q, err := a.openQueue(cmd, nil, name, nil)
	if err != nil {
		return err
	}
	ctx, cancel := a.bounded(cmd.Context())
	defer cancel()
	return fn(ctx, q)
}
