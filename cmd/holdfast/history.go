package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
)

const historyHelp = `Show the holders of a lock, an election, a semaphore or a barrier one after the
other, and the gaps between them, as far back as etcd has not compacted its history.
FROM and TO are revisions, because etcd does not keep times; STARTED is the start of the
holder's session. With --at, show the settings, holders and waiters at that revision.`

func historyCommand(a *app) *cobra.Command {
	var at int64
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the holders of a name over time",
		Long: historyHelp +
			exitStatus("1 if nobody used the name, or etcd does not have the revision"),
		Example: "  holdfast history jobs/nightly\n" +
			"  holdfast history jobs/nightly --at 4711",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.dial()
			if err != nil {
				return err
			}
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			if cmd.Flags().Changed("at") {
				return a.showAt(ctx, c, args[0], at)
			}
			past, err := inspect.Read(ctx, c, args[0])
			switch {
			case err != nil:
				return err
			case len(past.Holds) == 0 && past.Since == 0: // nothing has been compacted
				return nof("nobody held %q", args[0])
			case len(past.Holds) == 0:
				return nof("nobody held %q since revision %d", args[0], past.Since)
			}
			return a.showPast(past)
		},
	}
	cmd.Flags().Int64Var(&at, "at", 0, "show the name as it was at this revision")
	return cmd
}

func (a *app) showAt(ctx context.Context, c *gateway.Client, name string, at int64) error {
	if at < 1 {
		return usagef("--at %d is not a revision; type one from 1", at)
	}
	p, err := inspect.At(ctx, c, name, at)
	switch {
	case errors.Is(err, gateway.ErrCompacted), errors.Is(err, gateway.ErrFutureRevision):
		return nof("etcd does not have revision %d: %w", at, err)
	case err != nil:
		return err
	case len(p.Members)+len(p.Settings) == 0:
		return nof("nobody used %q at revision %d", name, at)
	}
	return a.showPlace(p, nil)
}

func (a *app) showPast(past *inspect.Past) error {
	t := a.table("FROM", "TO", "FENCE", "STARTED", "OWNER", "KEY")
	for i := range past.Holds {
		h := &past.Holds[i]
		object, to := map[string]any{"from": h.From}, "-"
		if h.To != 0 {
			object["to"], to = h.To, number(h.To)
		}
		if h.Free {
			object["state"] = "free"
			t.add(object, number(h.From), to, "-", "-", "nobody", "-")
			continue
		}
		object["state"], object["key"], object["fence"] = "held", h.Key, h.Fence
		object["lease"], object["value"] = h.Lease.String(), h.Value
		if h.Session != nil {
			object["session"] = h.Session
		}
		t.add(object,
			number(h.From), to, number(h.Fence), since(&h.Member), owner(&h.Member), h.Key)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if past.Since > 0 {
		a.warn("the history before revision %d is compacted", past.Since)
	}
	return nil
}
