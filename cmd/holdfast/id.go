package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

const idHelp = `Print numbers that no other call prints, from 1 on, one a line. The numbers of one
call are in a row. A call that fails may leave its numbers out.`

// maxIDs is the largest number of IDs of one call.
const maxIDs = 1_000_000

func idCommand(a *app) *cobra.Command {
	count := int64(1)
	cmd := &cobra.Command{
		Use:     "id NAME",
		Short:   "Print unique numbers",
		Long:    idHelp + exitStatus(),
		Example: "  holdfast id invoices\n  holdfast id invoices -n 100",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > maxIDs {
				return usagef("-n %d is not between 1 and %d; type another", count, maxIDs)
			}
			return a.request(cmd, func(ctx context.Context, s *session.Session) error {
				first, err := limit.NewIDs(s, args[0], nil).Take(ctx, count)
				if err != nil {
					return err
				}
				return a.print(map[string]any{"first": first, "count": count},
					inARow(first, count))
			})
		},
	}
	cmd.Flags().Int64VarP(&count, "number", "n", 1, "how many numbers to print")
	return cmd
}

// inARow returns n numbers, one a line.
func inARow(first, n int64) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strconv.FormatInt(first+i, 10))
	}
	return b.String()
}
