package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

const counterHelp = `Count in any processes. A new counter is 0.`

func counterCommand(a *app) *cobra.Command {
	return group("counter", "Add to a number, or print it", counterHelp, "NAME",
		counterAdd(a), counterGet(a))
}

func counterAdd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME [N]",
		Short: "Add N to the counter",
		Long: "Add N, or 1, to the counter, and print the sum. Type -- before a negative N." +
			exitStatus(),
		Example: "  holdfast counter add visits\n  holdfast counter add stock -- -12",
		Args:    between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := int64(1)
			if len(args) > 1 {
				var err error
				if n, err = strconv.ParseInt(args[1], 10, 64); err != nil {
					return usagef("%q is not a number; type: %s", args[1], cmd.UseLine())
				}
			}
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				sum, err := limit.NewCounter(s, args[0]).Add(ctx, n)
				if err != nil {
					return err
				}
				return a.print(map[string]any{"value": sum}, strconv.FormatInt(sum, 10))
			})
		},
	}
}

func counterGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "get NAME",
		Short:   "Print the counter",
		Long:    "Print the counter." + exitStatus(),
		Example: "  holdfast counter get visits",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				n, err := limit.NewCounter(s, args[0]).Get(ctx)
				if err != nil {
					return err
				}
				return a.print(map[string]any{"value": n}, strconv.FormatInt(n, 10))
			})
		},
	}
}
