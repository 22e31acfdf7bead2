package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

type consumeFlags struct {
	holdFlags
	concurrency, maxAttempts, perGroup, maxInFlight int
}

const queueConsumeHelp = `Run a command for each item, with the item on its standard input. If it
exits with 0 the item is done. Otherwise the item is delivered again, after a delay
that doubles from 1s to 1m, or becomes a dead letter after --max-attempts. The
command also gets HOLDFAST_ITEM, the item's ID, and HOLDFAST_ATTEMPT, from 1.

The first SIGTERM, SIGINT, SIGHUP or SIGQUIT lets the commands that run finish;
later signals are forwarded to them.`

func queueConsume(a *app) *cobra.Command {
	f := &consumeFlags{}
	cmd := &cobra.Command{
		Use:     "consume NAME -- COMMAND...",
		Short:   "Run a command for each item",
		Long:    queueConsumeHelp + exitStatus("126 or 127 if the command cannot be run"),
		Example: "  holdfast queue consume mails --concurrency 4 --max-attempts 5 -- ./send.sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case len(argv) == 0:
				return usagef("no command to run; type: holdfast queue consume %s -- COMMAND",
					names[0])
			case f.concurrency < 1 || f.concurrency > queue.MaxConcurrency:
				return usagef("--concurrency %d is out of range; type a number from 1 to %d",
					f.concurrency, queue.MaxConcurrency)
			case f.maxInFlight < 0 || f.maxInFlight > queue.MaxSlots:
				return usagef("--max-in-flight %d is out of range; "+
					"type a number from 1 to %d, or 0 for no limit", f.maxInFlight, queue.MaxSlots)
			case f.perGroup < 1:
				return usagef("--per-group %d is out of range; type a number from 1", f.perGroup)
			case f.maxAttempts < 0:
				return usagef("--max-attempts %d is negative; "+
					"type a number from 1, or 0 for no end", f.maxAttempts)
			}
			return f.consume(cmd.Context(), a, names[0], f.sessionOptions(cmd, argv), argv)
		},
	}
	f.addHold(cmd)
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 1, "number of commands to run at a time")
	cmd.Flags().IntVar(&f.maxInFlight, "max-in-flight", 0,
		"number of items that all consumers work on at a time (default no limit)")
	cmd.Flags().IntVar(&f.perGroup, "per-group", 1, "number of items of one group at a time")
	cmd.Flags().IntVar(&f.maxAttempts, "max-attempts", 0,
		"number of deliveries after which an item becomes a dead letter (default without end)")
	return cmd
}

func (f *consumeFlags) consume(
	ctx context.Context, a *app, name string, opts *session.Options, argv []string,
) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	if err := a.ping(ctx); err != nil { // session.Run would retry without a message
		return err
	}
	a.log.mute(false)
	ctx, end := context.WithCancel(ctx)
	defer end()
	r := childproc.NewRunner(a.warn)
	defer r.Close()
	w := &worker{
		flags: f, argv: argv, app: a, end: end, runner: r, running: map[*childproc.Process]bool{},
	}
	a.sigs.forward(w.signal, w.idle)
	defer a.sigs.releasing()
	err = session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		q := queue.New(s, name, &queue.Options{
			MaxAttempts: f.maxAttempts, PerGroup: f.perGroup, MaxInFlight: f.maxInFlight,
		})
		err := q.Consume(ctx, f.concurrency, w.work)
		if errors.Is(err, session.ErrLost) {
			a.warn("continuing with a new session: %v", err)
		}
		return err
	})
	if w.failed != nil {
		return w.failed
	}
	if ctx.Err() != nil {
		return nil // a signal, the usual end
	}
	return err
}

// worker runs the commands of one consumer.
type worker struct {
	flags  *consumeFlags
	argv   []string
	app    *app
	end    func()
	runner *childproc.Runner

	mu      sync.Mutex
	stopped bool  // a signal has ended the receiving
	failed  error // the error of the first start that failed
	running map[*childproc.Process]bool
}

// signal stops the receiving at the first of [endSignals]. Other signals are forwarded to the
// commands.
func (w *worker) signal(s os.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped && slices.Contains(endSignals, s) {
		w.stopped = true
		w.end()
		return
	}
	for p := range w.running {
		p.Signal(s)
	}
}

// idle reports whether the receiving has been stopped and no command runs.
func (w *worker) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped && len(w.running) == 0
}

// work runs the command for an item.
func (w *worker) work(_ context.Context, m *queue.Message) error {
	p, err := w.start(m)
	switch {
	case errors.Is(err, childproc.ErrHoldEnded):
		w.app.warn("item %s: the claim was lost before the command began", m.ID)
		return err
	case err != nil:
		return w.requeue(m, err) //nolint:contextcheck // not bounded by the claim's context
	}
	res := p.Wait()
	w.mu.Lock()
	delete(w.running, p)
	w.mu.Unlock()
	switch {
	case res.Lost:
		err = errors.New("the claim was lost while the command ran, which was ended")
	case res.Status != 0:
		err = fmt.Errorf("the command ended with status %d", res.Status)
	}
	if err != nil {
		w.app.warn("item %s, attempt %d: %v", m.ID, m.Attempt, err)
	}
	return err
}

func (w *worker) start(m *queue.Message) (*childproc.Process, error) {
	stdin, err := inputFile(m.Value)
	if err != nil {
		return nil, fmt.Errorf("no file for the command's input: %w", err)
	}
	defer func() { _ = stdin.Close() }() // it is only read
	w.mu.Lock()                          // else a signal that arrives now would miss the command
	defer w.mu.Unlock()
	p, err := w.runner.Start(childproc.Command{
		Args: w.argv, Stdin: stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Grace: time.Duration(w.flags.grace),
		Env: environment(m, []string{m.Key()},
			"HOLDFAST_ITEM="+m.ID, "HOLDFAST_ATTEMPT="+strconv.Itoa(m.Attempt)),
	}, m)
	switch {
	case err == nil:
		w.running[p] = true
	case !errors.Is(err, childproc.ErrHoldEnded):
		err = cannotRun(w.argv[0], err)
	}
	return p, err
}

// requeue gives back an item whose command could not be started, without counting the attempt, and
// ends the verb, because the command could not be started for the next item either.
func (w *worker) requeue(m *queue.Message, why error) error {
	w.mu.Lock()
	if w.failed == nil {
		w.failed = why
	}
	w.mu.Unlock()
	w.end()
	ctx, cancel := w.app.cleanUp(context.Background())
	defer cancel()
	if err := m.Requeue(ctx); err != nil {
		w.app.warn("item %s could not be given back; it is delivered again when the lease "+
			"expires: %v", m.ID, err)
	}
	return why
}

// inputFile returns a nameless file that contains a value. Unlike with a pipe, nobody has to read
// it.
func inputFile(value []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "holdfast-")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(value)
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
