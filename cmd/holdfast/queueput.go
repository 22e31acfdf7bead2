package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
)

type putFlags struct {
	waitFlags
	priority  int
	delay     duration
	dedupID   string
	group     string
	window    duration
	maxLength int
	lines     bool
}

const queuePutHelp = `Put an item into the queue and print its ID. Without VALUE, or if it is -, the
item is read from the standard input. With --lines, each line of the input is an
item, which is put as soon as it is read.`

func queuePut(a *app) *cobra.Command {
	f := &putFlags{}
	cmd := &cobra.Command{
		Use:   "put NAME [VALUE]",
		Short: "Put an item into the queue",
		Long:  queuePutHelp + exitOfWait,
		Example: "  holdfast queue put mails '{\"to\":\"a@example.org\"}'\n" +
			"  holdfast queue put --lines mails < mails.txt",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Flags(), args[1:]); err != nil {
				return err
			}
			p := &putting{putFlags: f, app: a, cmd: cmd, name: args[0]}
			// The session is opened before the input is read, because the input may be slow.
			if err := p.open(); err != nil {
				return err
			}
			switch ctx := cmd.Context(); {
			case f.lines:
				return p.stream(ctx)
			case typed(args[1:]):
				return p.put(ctx, [][]byte{[]byte(args[1])})
			default:
				value, err := readValue(ctx)
				if err != nil {
					return err
				}
				f.began = time.Now()
				return p.put(ctx, [][]byte{value})
			}
		},
	}
	f.add(cmd, false)
	fs := cmd.Flags()
	fs.IntVar(&f.priority, "priority", 0, "0 to 9; items of a higher priority are delivered first")
	fs.Var(&f.delay, "delay", "time before the item is delivered")
	fs.StringVar(&f.dedupID, "dedup-id", "",
		"do nothing if an item with this ID was put within the dedup-window")
	fs.StringVar(&f.group, "group", "",
		"deliver the items of this group in their order, one at a time")
	fs.Var(&f.window, "dedup-window", "time in which --dedup-id finds duplicates (default 5m)")
	fs.IntVar(&f.maxLength, "max-length", 0,
		"wait while the queue has this many items (default no limit)")
	fs.BoolVar(&f.lines, "lines", false, "each line of the standard input is an item")
	return cmd
}

func typed(args []string) bool { return len(args) == 1 && args[0] != "-" }

// check validates the flags. An empty ID or group is refused, because it is most often a variable
// of a script that is not set.
func (f *putFlags) check(fs *pflag.FlagSet, args []string) error {
	switch {
	case fs.Changed("dedup-id") && f.dedupID == "":
		return usagef("--dedup-id is empty; type an ID, or leave it out")
	case fs.Changed("group") && f.group == "":
		return usagef("--group is empty; type a group, or leave it out")
	case f.lines && typed(args):
		return usagef(
			"--lines reads the standard input; type: holdfast queue put --lines NAME <FILE")
	case f.lines && f.dedupID != "":
		return usagef("--dedup-id is for one item; type it without --lines")
	}
	return f.waitFlags.check()
}

// putting is a put in progress.
type putting struct {
	*putFlags
	app  *app
	cmd  *cobra.Command
	name string
	q    *queue.Queue
	done int // number of items in the queue
}

// open makes the session, and a new one if that was lost while the input was slow. No put is in
// progress then.
func (p *putting) open() error {
	if p.q != nil && p.app.session.Err() == nil {
		return nil
	}
	s, err := p.app.open(p.cmd, &p.waitFlags)
	if err != nil {
		return err
	}
	p.q = queue.New(s, p.name, &queue.Options{
		MaxLength: p.maxLength, DedupWindow: time.Duration(p.window),
	})
	return nil
}

// stream puts the lines of the standard input as they arrive, in their order.
func (p *putting) stream(ctx context.Context) error {
	most := batchLines
	if p.maxLength > 0 {
		most = min(most, p.maxLength) // the limit of one transaction of a bounded queue
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	for batches := readLines(reading, os.Stdin, most); ; {
		var b *batch
		select {
		case b = <-batches:
		case <-ctx.Done():
			return &partError{err: context.Cause(ctx), put: p.done}
		}
		p.began = time.Now() // the limits apply to each batch
		err := p.open()      //nolint:contextcheck // the session outlives the batch
		if err == nil {
			err = p.put(ctx, b.lines)
		}
		if err == nil && errors.Is(b.err, io.EOF) {
			return nil
		}
		if err == nil {
			err = b.err
		}
		if _, noted := errors.AsType[*partError](err); err != nil && !noted {
			err = &partError{err: err, put: p.done}
		}
		if err != nil {
			return err
		}
	}
}

// put puts values that fit in one transaction, and prints their IDs: first as many as there is room
// for, then one by one as consumers make room.
func (p *putting) put(ctx context.Context, values [][]byte) error {
	for len(values) > 0 {
		n, err := p.putNow(ctx, values)
		values = values[n:]
		if errors.Is(err, queue.ErrFull) {
			n, err = p.putWithRoom(ctx, values[:1])
			values = values[n:]
		}
		if err != nil {
			return p.failed(err, len(values))
		}
		p.began = time.Now() // each item may wait for --wait
	}
	return nil
}

// putNow puts the values that fit without a wait for room. If there is no room for all it returns
// [queue.ErrFull].
func (p *putting) putNow(ctx context.Context, values [][]byte) (int, error) {
	ctx, cancel := p.app.bounded(ctx)
	defer cancel()
	return p.enqueue(ctx, values, true)
}

// putWithRoom puts values when there is room. It waits for consumers, at most for --wait.
func (p *putting) putWithRoom(ctx context.Context, values [][]byte) (int, error) {
	enqueue := func(noWait bool) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) { return p.enqueue(ctx, values, noWait) }
	}
	n, err := attempt[int]{try: enqueue(true), wait: enqueue(false)}.get(ctx, p.app, &p.waitFlags)
	return n, p.refused(err)
}

func (p *putting) enqueue(ctx context.Context, values [][]byte, noWait bool) (int, error) {
	ids, err := p.q.EnqueueAll(ctx, values, &queue.EnqueueOptions{
		Priority: p.priority, Delay: time.Duration(p.delay), DedupID: p.dedupID, NoWait: noWait,
		Group: p.group,
	})
	p.done += len(ids)
	var printErr error
	for i := 0; i < len(ids) && printErr == nil; i++ {
		printErr = p.app.print(map[string]any{"id": ids[i]}, ids[i])
	}
	if err == nil {
		err = printErr
	}
	return len(ids), err
}

// failed adds to an error how many items were put, if that may not be 0.
func (p *putting) failed(err error, left int) error {
	uncertain := errors.Is(err, gateway.ErrUncertain)
	if err == nil || !p.lines && !uncertain {
		return err
	}
	if !uncertain {
		left = 0
	}
	return &partError{err: err, put: p.done, maybe: left}
}
