package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func queuePeek(a *app) *cobra.Command {
	n := 0
	cmd := &cobra.Command{
		Use:   "peek NAME",
		Short: "List the first items without taking them",
		Long: "List the first items in the order of their delivery, without taking them." +
			exitStatus(),
		Example: "  holdfast queue peek mails --items 3",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > queue.MaxPeek {
				return usagef("--items %d is not between 1 and %d; type another", n, queue.MaxPeek)
			}
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				items, err := queue.New(s, args[0], nil).Peek(ctx, n)
				if err != nil {
					return err
				}
				return a.showItems(items)
			})
		},
	}
	cmd.Flags().IntVar(&n, "items", 10, "number of items to list")
	return cmd
}

func (a *app) showItems(items []queue.Item) error {
	t := a.table("ID", "PRIORITY", "ENQUEUED", "STATE", "VALUE")
	for _, i := range items {
		state := "ready"
		if i.Claimed {
			state = "claimed"
		}
		object := withValue(map[string]any{
			"id": i.ID, "priority": i.Priority, "group": i.Group, "enqueued": i.Enqueued,
			"claimed": i.Claimed,
		}, i.Value)
		t.add(object, i.ID, strconv.Itoa(i.Priority), stamp(i.Enqueued), state, brief(i.Value))
	}
	return t.flush()
}

func queueStats(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "stats NAME",
		Short:   "Count the items",
		Long:    "Count the items by their state." + exitStatus(),
		Example: "  holdfast queue stats mails",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				n, err := queue.New(s, args[0], nil).Stats(ctx)
				if err != nil {
					return err
				}
				t := a.table("READY", "CLAIMED", "DELAYED", "DEAD", "ENQUEUED", "PAUSED")
				t.add(map[string]any{
					"ready": n.Ready, "claimed": n.Claimed, "delayed": n.Delayed, "dead": n.Dead,
					"enqueued": n.Enqueued, "paused": n.Paused,
				},
					number(n.Ready), number(n.Claimed), number(n.Delayed), number(n.Dead),
					number(n.Enqueued), strconv.FormatBool(n.Paused))
				return t.flush()
			})
		},
	}
}
