package main

import (
	"context"
	"errors"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

func cronHistory(a *app) *cobra.Command {
	last := cron.DefaultHistory
	cmd := &cobra.Command{
		Use:     "history NAME",
		Short:   "List the last ticks, the latest first",
		Long:    "List the last ticks, the latest first, also the one that runs." + exitStatus(),
		Example: "  holdfast cron history reports",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 1 || last > cron.MaxHistory {
				return usagef("--last %d is out of range; type a number from 1 to %d",
					last, cron.MaxHistory)
			}
			c := cron.New(args[0], nil, &cron.Options{History: last})
			return a.requestOf(cmd, func(ctx context.Context, client *gateway.Client) error {
				records, err := c.History(ctx, client)
				if err != nil {
					return err
				}
				t := a.table("SCHEDULED", "STARTED", "TOOK", "ATTEMPT", "BY", "RESULT", "BY HAND")
				for _, r := range records {
					t.add(r, stamp(r.Scheduled), stamp(r.Started), took(r),
						strconv.Itoa(r.Attempt), r.By, result(r), byHand(r))
				}
				return t.flush()
			})
		},
	}
	cmd.Flags().IntVar(&last, "last", last, "number of ticks")
	return cmd
}

func took(r cron.Record) string {
	if r.Ended.IsZero() {
		return "-"
	}
	return r.Ended.Sub(r.Started).Round(time.Millisecond).String()
}

func result(r cron.Record) string {
	switch {
	case r.Error != "":
		return r.Error
	case r.Ended.IsZero():
		return "running"
	}
	return "done"
}

func byHand(r cron.Record) string {
	if r.Trigger == nil {
		return "-"
	}
	return r.Trigger.By + ": " + r.Trigger.Why
}

func cronTrigger(a *app) *cobra.Command {
	return cronRequest(a, "trigger", "Start a tick by hand, as soon as no other one runs",
		"1 if another tick by hand has not started yet", (*cron.Cron).Trigger)
}

func cronPause(a *app) *cobra.Command {
	return cronRequest(a, "pause", "Start no more ticks; the one that runs goes on", "",
		(*cron.Cron).Pause)
}

// cronRequest returns a command for a verb with a reason.
func cronRequest(
	a *app, verb, short, status string,
	do func(*cron.Cron, context.Context, *gateway.Client, string) error,
) *cobra.Command {
	reason, statuses := "", []string(nil)
	if status != "" {
		statuses = []string{status}
	}
	cmd := &cobra.Command{
		Use:     verb + " NAME --reason TEXT",
		Short:   short,
		Long:    short + ". Your name and the reason are stored." + exitStatus(statuses...),
		Example: "  holdfast cron " + verb + " reports --reason 'a migration'",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef(
					"for which reason? type: holdfast cron %s %s --reason TEXT", verb, args[0])
			}
			return a.requestOf(cmd, func(ctx context.Context, client *gateway.Client) error {
				err := do(operated(args[0]), ctx, client, reason)
				if errors.Is(err, cron.ErrPending) {
					err = &exitError{codeNo, err}
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "the reason, which the history shows")
	return cmd
}

func cronResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "resume NAME",
		Short:   "End a pause; the ticks of the pause are skipped",
		Long:    "End a pause; the ticks of the pause are skipped." + exitStatus(),
		Example: "  holdfast cron resume reports",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.requestOf(cmd, func(ctx context.Context, client *gateway.Client) error {
				return operated(args[0]).Resume(ctx, client)
			})
		},
	}
}

// operated returns a schedule to operate, with sessions that have the name of the user.
func operated(name string) *cron.Cron {
	by := "unknown user"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	return cron.New(name, nil, &cron.Options{Session: &session.Options{Name: by}})
}

// requestOf runs fn, which waits only for etcd, with a client and within the command-timeout.
func (a *app) requestOf(
	cmd *cobra.Command, fn func(context.Context, *gateway.Client) error,
) error {
	client, err := a.dial()
	if err != nil {
		return err
	}
	ctx, cancel := a.bounded(cmd.Context())
	defer cancel()
	return fn(ctx, client)
}
