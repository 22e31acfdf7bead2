package main

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
)

func queuePeek(a *app) *cobra.Command {
	n := 0
	cmd := &cobra.Command{
		Use:               "peek NAME",
		Short:             "List the first items, and leave them there",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > queue.MaxPeek {
				return usagef("--items %d is not between 1 and %d; type another", n, queue.MaxPeek)
			}
			return a.ask(cmd, args[0], func(ctx context.Context, q *queue.Queue) error {
				items, err := q.Peek(ctx, n)
				if err != nil {
					return err
				}
				return a.showItems(items)
			})
		},
	}
	cmd.Flags().IntVar(&n, "items", 10, "how many")
	return cmd
}

func (a *app) showItems(items []queue.Item) error {
	rows := [][]string{{"ID", "PRIORITY", "ENQUEUED", "STATE", "VALUE"}}
	for _, i := range items {
		if a.json {
			out := map[string]any{
				"id": i.ID, "priority": i.Priority, "enqueued": i.Enqueued, "claimed": i.Claimed,
			}
			maps.Copy(out, value(i.Value))
			if err := printJSON(stdout, out); err != nil {
				return err
			}
		}
		state := "ready"
		if i.Claimed {
			state = "claimed"
		}
		rows = append(rows,
			[]string{i.ID, strconv.Itoa(i.Priority), stamp(i.Enqueued), state, brief(i.Value)})
	}
	if a.json {
		return nil
	}
	return table(rows...)
}

func queueStats(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "stats NAME",
		Short:             "Count the items",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd, args[0], func(ctx context.Context, q *queue.Queue) error {
				s, err := q.Stats(ctx)
				switch {
				case err != nil:
					return err
				case a.json:
					return printJSON(stdout, map[string]any{
						"ready": s.Ready, "claimed": s.Claimed, "delayed": s.Delayed,
						"dead": s.Dead, "enqueued": s.Enqueued, "paused": s.Paused,
					})
				}
				return table(
					[]string{"READY", "CLAIMED", "DELAYED", "DEAD", "ENQUEUED", "PAUSED"},
					[]string{
						number(s.Ready), number(s.Claimed), number(s.Delayed), number(s.Dead),
						number(s.Enqueued), strconv.FormatBool(s.Paused),
					},
				)
			})
		},
	}
}

func queueDead(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "dead NAME",
		Short:             "List the dead letters",
		Args:              one,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := a.openQueue(cmd, nil, args[0], nil)
			if err != nil {
				return err
			}
			ctx, cancel := a.long(cmd.Context(), "")
			defer cancel()
			rows := [][]string{{"ID", "ATTEMPTS", "DIED", "REASON", "VALUE"}}
			for d, err := range q.DeadLetters(ctx) {
				if err != nil {
					return err
				}
				if a.json {
					out := map[string]any{
						"id": d.ID, "priority": d.Priority, "attempts": d.Attempts,
						"enqueued": d.Enqueued, "died": d.DeadAt, "reason": d.Reason,
					}
					maps.Copy(out, value(d.Value))
					if err := printJSON(stdout, out); err != nil {
						return err
					}
				}
				rows = append(rows, []string{
					d.ID, strconv.Itoa(d.Attempts), stamp(d.DeadAt), d.Reason, brief(d.Value),
				})
			}
			if a.json {
				return nil
			}
			return table(rows...)
		},
	}
}

func queueRedrive(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "redrive NAME [ID...]",
		Short:             "Put dead letters back into the queue: those named, or all",
		Args:              between(1, 1000),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := a.openQueue(cmd, nil, args[0], nil)
			if err != nil {
				return err
			}
			n, err := a.redrive(cmd.Context(), q, args[1:])
			var told error
			if a.json {
				told = printJSON(stdout, map[string]any{"redriven": n})
			} else {
				_, told = fmt.Fprintln(stdout, n)
			}
			if err != nil {
				return err
			}
			return told
		},
	}
}

// redrive repeats as long as it makes progress. Many dead letters take longer than the limit, whose
// purpose is to find an etcd that does not answer.
func (a *app) redrive(ctx context.Context, q *queue.Queue, ids []string) (total int, err error) {
	for {
		lctx, cancel := a.long(ctx, "")
		n, err := q.Redrive(lctx, ids...)
		again := err != nil && n > 0 && lctx.Err() != nil && ctx.Err() == nil
		cancel()
		if total += n; !again {
			return total, err
		}
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// stamp formats a time for people.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// maxBrief is the number of bytes of a value that a table shows.
const maxBrief = 60

func brief(value []byte) string {
	if len(value) <= maxBrief {
		return string(value)
	}
	n := maxBrief
	for n > maxBrief-utf8.UTFMax && !utf8.RuneStart(value[n]) {
		n--
	}
	return string(value[:n]) + "…"
}
