package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/queue"
)

type putFlags struct {
	waitFlags
	priority  int
	delay     duration
	dedupID   string
	window    duration
	maxLength int
	lines     bool
}

func queuePut(a *app) *cobra.Command {
	f := &putFlags{}
	cmd := &cobra.Command{
		Use:   "put NAME [VALUE]",
		Short: "Put an item into the queue",
		Long: "Put an item into the queue and print its ID. Without VALUE, or where it is -, it is what comes on the standard\n" +
			"input; with --lines, each line of that is an item.",
		Example:           "  holdfast queue put mails '{\"to\":\"a@example.org\"}'\n  holdfast queue put --lines mails < mails.txt",
		Args:              between(1, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args[1:]); err != nil { // before the input is read, which may be long in coming
				return err
			}
			values, err := f.values(args[1:])
			if err != nil {
				return err
			}
			q, err := a.openQueue(cmd, &f.waitFlags, args[0], &queue.Options{MaxLength: f.maxLength, DedupWindow: time.Duration(f.window)})
			if err != nil {
				return err
			}
			return f.put(cmd.Context(), a, q, values)
		},
	}
	f.add(cmd, false)
	fs := cmd.Flags()
	fs.IntVar(&f.priority, "priority", 0, "0 to 9: delivered before all of a lower priority")
	fs.Var(&f.delay, "delay", "deliver it not before this time is over")
	fs.StringVar(&f.dedupID, "dedup-id", "", "do nothing if an item with this ID was put lately")
	fs.Var(&f.window, "dedup-window", "how long that is (default 5m)")
	fs.IntVar(&f.maxLength, "max-length", 0, "wait while the queue has this many items (default no limit)")
	fs.BoolVar(&f.lines, "lines", false, "each line of the standard input is an item")
	return cmd
}

func typed(args []string) bool { return len(args) == 1 && args[0] != "-" }

func (f *putFlags) check(args []string) error {
	switch {
	case f.lines && typed(args):
		return usagef("--lines reads the standard input; type: holdfast queue put --lines NAME <FILE")
	case f.lines && f.dedupID != "":
		return usagef("--dedup-id is for one item; type it without --lines")
	}
	return f.waitFlags.check()
}

// values are what to put.
func (f *putFlags) values(args []string) ([][]byte, error) {
	if typed(args) {
		return [][]byte{[]byte(args[0])}, nil
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil || !f.lines {
		return [][]byte{text}, err
	}
	var values [][]byte
	for line := range bytes.Lines(text) {
		values = append(values, bytes.TrimSuffix(line, []byte("\n")))
	}
	return values, nil
}

func (f *putFlags) put(ctx context.Context, a *app, q *queue.Queue, values [][]byte) error {
	// With a limit the wait is for consumers, and -w bounds it.
	bound := a.bounded
	if f.maxLength > 0 {
		bound = f.context
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	ids, err := q.EnqueueAll(ctx, values, &queue.EnqueueOptions{
		Priority: f.priority, Delay: time.Duration(f.delay), DedupID: f.dedupID,
	})
	told := a.showIDs(ids)
	if err != nil {
		return f.refused(err)
	}
	return told
}

func (a *app) showIDs(ids []string) (err error) {
	for _, id := range ids {
		if a.json {
			err = printJSON(stdout, map[string]any{"id": id})
		} else {
			_, err = fmt.Fprintln(stdout, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
