package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
)

func queueDead(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "dead NAME",
		Short: "List the dead letters",
		Long: "List the dead letters: items that were rejected, or not done in --max-attempts." +
			exitStatus(),
		Example: "  holdfast queue dead mails",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.openQuiet(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := a.long(cmd.Context(), "")
			defer cancel()
			t := a.table("ID", "ATTEMPTS", "DIED", "REASON", "VALUE")
			for d, err := range queue.New(s, args[0], nil).DeadLetters(ctx) {
				if err != nil {
					return err
				}
				if t.err != nil {
					break // nobody reads the rest
				}
				object := withValue(map[string]any{
					"id": d.ID, "priority": d.Priority, "group": d.Group, "attempts": d.Attempts,
					"enqueued": d.Enqueued, "died": d.DeadAt, "reason": d.Reason,
				}, d.Value)
				t.add(object,
					d.ID, strconv.Itoa(d.Attempts), stamp(d.DeadAt), d.Reason, brief(d.Value))
			}
			return t.flush()
		},
	}
}

func queueRedrive(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "redrive NAME [ID...]",
		Short: "Put dead letters back into the queue: those named, or all",
		Long: "Put dead letters back into the queue, all or those with an ID, and print how many." +
			exitStatus(),
		Example: "  holdfast queue redrive mails",
		Args:    between(1, 1000),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.openQuiet(cmd)
			if err != nil {
				return err
			}
			n, err := a.redrive(cmd.Context(), queue.New(s, args[0], nil), args[1:])
			printErr := a.print(map[string]any{"redriven": n}, strconv.Itoa(n))
			if err != nil {
				return err
			}
			return printErr
		},
	}
}

// redrive repeats as long as it makes progress. Many dead letters take longer than the limit, whose
// purpose is to find an etcd that does not answer.
func (a *app) redrive(ctx context.Context, q *queue.Queue, ids []string) (total int, err error) {
	for {
		lctx, cancel := a.long(ctx, "")
		n, err := q.Redrive(lctx, ids...)
		again := err != nil && n > 0 && lctx.Err() != nil && ctx.Err() == nil
		cancel()
		total += n
		if !again {
			return total, err
		}
	}
}
