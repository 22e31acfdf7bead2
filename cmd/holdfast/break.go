package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/session"
)

func breakCommand(a *app) *cobra.Command {
	reason, key := "", ""
	cmd := &cobra.Command{
		Use:   "break NAME --reason TEXT",
		Short: "Take a hold away from who has it",
		Long: "Delete the key of the holder, who learns of it within moments if it uses holdfast, and not at all if it uses\n" +
			"another library. The reason, who held it and the fence go to the standard error, with --json to the output; nothing\n" +
			"keeps them.",
		Example:           "  holdfast break jobs/nightly --reason 'host db3 is on fire'",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef("for which reason? type: holdfast break %s --reason TEXT", args[0])
			}
			p, err := a.place(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			m, err := victim(p, key)
			if err != nil {
				return err
			}
			return a.remove(cmd.Context(), p, m, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&key, "key", "",
		"the key of the one that is meant, where several hold it, or of a waiter")
	return cmd
}

// victim returns the member with the key or, without a key, the only holder.
func victim(p *inspect.Place, key string) (*inspect.Member, error) {
	var holders []*inspect.Member
	for i := range p.Members {
		m := &p.Members[i]
		if m.Key == key {
			return m, nil
		}
		if m.Holds {
			holders = append(holders, m)
		}
	}
	switch {
	case key != "":
		return nil, nof("%q has no member with the key %q", p.Name, key)
	case len(holders) == 0:
		return nil, nof("nobody holds %q", p.Name)
	case len(holders) > 1:
		var keys []string
		for _, m := range holders {
			keys = append(keys, "--key "+clean(m.Key))
		}
		return nil, usagef("%d hold %q; type one of: %s",
			len(holders), p.Name, strings.Join(keys, ", "))
	}
	return holders[0], nil
}

// remove deletes the key unless it belongs to a later hold by then.
func (a *app) remove(
	ctx context.Context, p *inspect.Place, m *inspect.Member, reason string,
) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	err := session.Break(ctx, a.client, m.Key, m.Fence, reason)
	switch {
	case errors.Is(err, session.ErrNotHeld):
		return nof("%s was given back in this moment", m.Key)
	case err != nil:
		return err
	}
	if a.json {
		out := member(p, m)
		out["recipe"], out["name"], out["reason"] = p.Recipe, p.Name, reason
		return printJSON(stdout, out)
	}
	fmt.Fprintf(os.Stderr, "holdfast: broke %s %s (%s, fence %d, %s), reason: %s\n",
		p.Recipe, clean(p.Name), clean(m.Key), m.Fence, clean(who(m)), clean(reason))
	return nil
}
