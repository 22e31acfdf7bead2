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

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/cron"
)

func (f *cronFlags) run(ctx context.Context, a *app, c *cron.Cron, argv []string) error {
	client, err := a.dial()
	if err != nil {
		return err
	}
	if err := a.ping(ctx); err != nil { // Run would retry without a message
		return err
	}
	a.log.mute(false)
	ctx, end := context.WithCancel(ctx)
	defer end()
	r := childproc.NewRunner(a.warn)
	defer r.Close()
	w := &tickWorker{app: a, runner: r, argv: argv, grace: time.Duration(f.grace), end: end}
	a.sigs.forward(w.signal, w.idle)
	defer a.sigs.releasing()
	err = c.Run(ctx, client, w.work)
	switch {
	case w.failed != nil:
		return w.failed
	case ctx.Err() != nil:
		return nil // a signal, the usual end
	}
	return err
}

// tickWorker runs the command of one schedule.
type tickWorker struct {
	app    *app
	runner *childproc.Runner
	argv   []string
	grace  time.Duration
	end    func() // ends the schedule in this process

	mu      sync.Mutex
	stopped bool  // a signal has ended the schedule
	failed  error // the error of a start that failed
	running *childproc.Process
}

// signal ends the schedule at the first of [endSignals]. Other signals are forwarded to the
// command.
func (w *tickWorker) signal(s os.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped && slices.Contains(endSignals, s) {
		w.stopped = true
		w.end()
		return
	}
	if w.running != nil {
		w.running.Signal(s)
	}
}

// idle reports whether the schedule has been ended and no command runs.
func (w *tickWorker) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped && w.running == nil
}

// timedTick is a tick whose deadline is the end of --timeout if that is before. So the command is
// ended by then, and does not run beside the next attempt.
type timedTick struct {
	*cron.Tick
	timeout time.Time
}

func (t timedTick) Deadline() time.Time {
	deadline := t.Tick.Deadline()
	if !t.timeout.IsZero() && t.timeout.Before(deadline) {
		return t.timeout
	}
	return deadline
}

// work runs the command for a tick.
func (w *tickWorker) work(ctx context.Context, tick *cron.Tick) error {
	timeout, _ := ctx.Deadline()
	p, err := w.start(timedTick{tick, timeout})
	if err != nil {
		return err
	}
	res := p.Wait()
	w.mu.Lock()
	w.running = nil
	w.mu.Unlock()
	switch {
	case res.Lost && tick.Err() == nil:
		err = errors.New("the command has reached its --timeout, and was ended")
	case res.Lost:
		err = fmt.Errorf("the tick was lost while the command ran, which was ended: %w", tick.Err())
	case res.Status != 0:
		err = &childError{status: res.Status}
	}
	if err != nil {
		w.app.warn("the tick of %s, attempt %d: %v",
			tick.Scheduled().Format(time.RFC3339), tick.Attempt(), err)
	}
	return err
}

func (w *tickWorker) start(tick timedTick) (*childproc.Process, error) {
	w.mu.Lock() // else a signal that arrives now would miss the command
	defer w.mu.Unlock()
	p, err := w.runner.Start(childproc.Command{
		Args: w.argv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Grace: w.grace,
		Env: environment(tick, []string{tick.Key()},
			"HOLDFAST_SCHEDULED="+tick.Scheduled().Format(time.RFC3339Nano),
			"HOLDFAST_ATTEMPT="+strconv.Itoa(tick.Attempt())),
	}, tick)
	switch {
	case err == nil:
		w.running = p
	case !errors.Is(err, childproc.ErrHoldEnded):
		// It could not be started for the next tick either. Another process gets this one.
		err = cannotRun(w.argv[0], err)
		w.failed = err
		w.end()
	}
	return p, err
}
