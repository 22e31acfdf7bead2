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

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/under"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

type consumeFlags struct {
	holdFlags
	concurrency, maxAttempts int
}

func queueConsume(a *app) *cobra.Command {
	f := &consumeFlags{}
	cmd := &cobra.Command{
		Use:   "consume NAME -- COMMAND...",
		Short: "Run a command for each item",
		Long: "Run a command for each item, with the item on its standard input. Where it exits with 0 the item is done; else it\n" +
			"is delivered again, after a delay that doubles from 1s to 1m, or goes to the dead letters after --max-attempts.\n" +
			"The command also gets HOLDFAST_ITEM, the item's ID, and HOLDFAST_ATTEMPT, from 1.\n\n" +
			"The first signal to end lets the commands that run end by themselves, the next ones are forwarded to them.",
		Example:           "  holdfast queue consume mails --concurrency 4 --max-attempts 5 -- ./send.sh",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case len(argv) == 0:
				return usagef("no command to run; type: holdfast queue consume %s -- COMMAND", names[0])
			case f.concurrency < 1:
				return usagef("--concurrency %d runs nothing; type a number from 1", f.concurrency)
			}
			if err := f.check(); err != nil {
				return err
			}
			return f.consume(cmd.Context(), a, names[0], f.session(cmd, argv), argv)
		},
	}
	f.addHold(cmd)
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 1, "how many commands to run at a time")
	cmd.Flags().IntVar(&f.maxAttempts, "max-attempts", 0, "how often to deliver an item before it goes to the dead letters (default without end)")
	return cmd
}

func (f *consumeFlags) consume(ctx context.Context, a *app, name string, opts *session.Options, argv []string) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	if err := a.reach(ctx); err != nil { // session.Run would go on trying without a word
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	w := &worker{flags: f, argv: argv, app: a, end: end, running: map[*under.Process]bool{}}
	a.sigs.forward(w.signal)
	defer a.sigs.forward(nil)
	err = session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		q := queue.New(s, name, &queue.Options{MaxAttempts: f.maxAttempts})
		err := q.Consume(ctx, f.concurrency, w.work)
		if errors.Is(err, session.ErrLost) {
			a.warn("going on with a new session: %v", err)
		}
		return err
	})
	if ctx.Err() != nil {
		return nil // by a signal, which is how this is ended
	}
	return err
}

// worker runs the commands of one consumer.
type worker struct {
	flags *consumeFlags
	argv  []string
	app   *app
	end   func()

	mu      sync.Mutex
	ending  bool
	running map[*under.Process]bool
}

// signal ends the receiving first; then it goes to the commands.
func (w *worker) signal(s os.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ending && slices.Contains(ending, s) {
		w.ending = true
		w.end()
		return
	}
	for p := range w.running {
		p.Signal(s)
	}
}

// work runs the command for an item.
func (w *worker) work(_ context.Context, m *queue.Message) error {
	stdin, err := file(m.Value)
	if err != nil {
		return err
	}
	defer func() { _ = stdin.Close() }() // nothing is written through it
	hold := lasting{m, m.Deadline}
	w.mu.Lock() // or a signal that comes now would miss it
	p, err := under.Start(under.Command{
		Args: w.argv, Stdin: stdin, Stdout: os.Stdout, Stderr: os.Stderr, Grace: time.Duration(w.flags.grace),
		Env: environment([]string{m.Key()}, m.Fence(), hold.Deadline(),
			"HOLDFAST_ITEM="+m.ID, "HOLDFAST_ATTEMPT="+strconv.Itoa(m.Attempt)),
	}, hold)
	if err == nil {
		w.running[p] = true
	}
	w.mu.Unlock()
	if err != nil {
		w.app.warn("item %s: %v", m.ID, err)
		return err
	}
	status, stopped, err := p.Wait()
	w.mu.Lock()
	delete(w.running, p)
	w.mu.Unlock()
	switch {
	case stopped:
		err = errors.New("the claim was lost while the command ran, which was ended")
	case err == nil && status != 0:
		err = fmt.Errorf("the command ended with status %d", status)
	}
	if err != nil {
		w.app.warn("item %s, attempt %d: %v", m.ID, m.Attempt, err)
	}
	return err
}

// file is a nameless file with a value in it: unlike a pipe, nobody has to read it.
func file(value []byte) (*os.File, error) {
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
