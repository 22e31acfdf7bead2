package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
)

const queueGetHelp = `Take an item out of the queue and print it. The item is not delivered again:
if work must not be lost, type holdfast queue consume.`

func queueGet(a *app) *cobra.Command {
	f := &waitFlags{}
	cmd := &cobra.Command{
		Use:     "get NAME",
		Short:   "Take an item out of the queue and print it",
		Long:    queueGetHelp + exitOfWait,
		Example: "  holdfast queue get -n mails",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			s, err := a.open(cmd, f)
			if err != nil {
				return err
			}
			q := queue.New(s, args[0], nil)
			ctx := cmd.Context()
			m, err := attempt[*queue.Message]{try: q.TryReceive, wait: q.Receive}.get(ctx, a, f)
			if err != nil {
				return f.refused(err)
			}
			if err := a.printItem(m); err != nil {
				return err // the next consumer gets the item
			}
			actx, cancel := a.cleanUp(ctx)
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
	return printJSON(stdout, withValue(map[string]any{
		"id": m.ID, "priority": m.Priority, "group": m.Group, "attempt": m.Attempt,
		"enqueued": m.Enqueued,
		"key":      m.Key(), "fence": m.Fence(),
	}, m.Value))
}
