package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
)

const queueRemoveHelp = `Remove an item by its ID, which put has printed and peek and dead show:
one that is ready or delayed, or a dead letter. An item that a consumer has claimed is not
removed, because the consumer may be working on it.`

func queueRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME ID",
		Short:   "Remove an item",
		Long:    queueRemoveHelp + exitStatus("1 if there is no such item, or if it is claimed"),
		Example: "  holdfast queue remove mails 6dd18b3364141523-000000007",
		Args:    between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.openQuiet(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := a.long(cmd.Context(), "")
			defer cancel()
			err = queue.New(s, args[0], nil).Remove(ctx, args[1])
			if errors.Is(err, queue.ErrNoItem) || errors.Is(err, queue.ErrClaimed) {
				return nof("%w", err)
			}
			return err
		},
	}
}
