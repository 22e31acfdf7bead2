package main

import (
	"bytes"
	"maps"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
)

func queueGet(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Take an item out of the queue and print it",
		Long: "Take an item out of the queue and print it. It is gone then: where work must not get lost, type\n" +
			"holdfast queue consume.",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			q, err := a.openQueue(cmd, f, args[0], nil)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			m, err := attempt[*queue.Message]{
				try: q.TryReceive, wait: q.Receive, taken: queue.ErrEmpty,
			}.get(ctx, a, f)
			if err != nil {
				return f.refused(err, queue.ErrEmpty)
			}
			if err := a.printItem(m); err != nil {
				return err // the next consumer gets the item
			}
			actx, cancel := a.after(ctx)
			defer cancel()
			return m.Ack(actx)
		},
	}
	f.add(cmd, true)
	return cmd
}

func (a *app) printItem(m *queue.Message) error {
	if !a.json {
		_, err := stdout.Write(append(bytes.TrimSuffix(m.Value, []byte("\n")), '\n'))
		return err
	}
	out := map[string]any{
		"id": m.ID, "priority": m.Priority, "attempt": m.Attempt, "enqueued": m.Enqueued,
		"key": m.Key(), "fence": m.Fence(),
	}
	maps.Copy(out, value(m.Value))
	return printJSON(stdout, out)
}
