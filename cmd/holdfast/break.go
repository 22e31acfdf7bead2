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

const breakHelp = `Take a hold away: delete the key of the holder. A holder that uses holdfast ends
within moments, and its error has the reason; one that uses another library does not
notice. The owner, the fence and the reason are printed to the standard error, with
--json to the output. etcd keeps them for 24 hours, and info shows them.`

func breakCommand(a *app) *cobra.Command {
	reason, key := "", ""
	cmd := &cobra.Command{
		Use:     "break NAME --reason TEXT",
		Short:   "Take a hold away from its holder",
		Long:    breakHelp + exitStatus("1 if nobody holds the name"),
		Example: "  holdfast break jobs/nightly --reason 'host db3 is on fire'",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef("for which reason? type: holdfast break %s --reason TEXT", args[0])
			}
			p, err := a.place(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			m, err := choose(p, key)
			if err != nil {
				return err
			}
			return a.remove(cmd.Context(), p, m, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "the reason, which the holder and info show")
	cmd.Flags().StringVar(&key, "key", "", "the key of one of several holders, or of a waiter")
	return cmd
}

// choose returns the member with the key or, without a key, the only holder.
func choose(p *inspect.Place, key string) (*inspect.Member, error) {
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
		return nof("%s was released in this moment", m.Key)
	case err != nil:
		return err
	}
	if a.json {
		object := memberObject(p, m)
		object["recipe"], object["name"], object["reason"] = p.Recipe, p.Name, reason
		return printJSON(stdout, object)
	}
	fmt.Fprintf(os.Stderr, "holdfast: broke %s %s (%s, fence %d, %s), reason: %s\n",
		p.Recipe, clean(p.Name), clean(m.Key), m.Fence, clean(owner(m)), clean(reason))
	return nil
}
