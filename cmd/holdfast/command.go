package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/session"
)

// The environment of a command that runs under a hold. The last two are etcdctl's.
const (
	envFence    = "HOLDFAST_FENCE"
	envKey      = "HOLDFAST_KEY"
	envDeadline = "HOLDFAST_DEADLINE"
	envCtlKey   = "ETCD_LOCK_KEY"
	envCtlRev   = "ETCD_LOCK_REV"
)

// parentKey returns the key of the hold that this process runs under, or "". If there are several
// it returns the first.
func parentKey() string {
	key, _, _ := strings.Cut(os.Getenv(envKey), "\n")
	return key
}

// environment returns the environment of a command that runs under a hold.
func environment(h recipeHold, keys []string, more ...string) []string {
	key, fence := strings.Join(keys, "\n"), number(h.Fence())
	return append(append(os.Environ(),
		envFence+"="+fence, envKey+"="+key,
		envDeadline+"="+h.Deadline().UTC().Format(time.RFC3339Nano),
		envCtlKey+"="+key, envCtlRev+"="+fence,
	), more...)
}

// findCommand returns an error if the command does not exist, before anything is acquired for it.
func findCommand(argv []string) error {
	if len(argv) == 0 {
		return nil
	}
	_, err := exec.LookPath(argv[0])
	return cannotRun(argv[0], err)
}

// cannotRun returns the error of a command that could not be started.
func cannotRun(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &exitError{codeNotFound, fmt.Errorf("%s: no such command", name)}
	}
	return &exitError{codeCannotRun, fmt.Errorf("cannot run %s: %w", name, err)}
}

// runCommand runs the command under the hold. [childproc.Process.Wait] ends the command when the
// hold is lost.
func (a *app) runCommand(ctx context.Context, h *hold, f *holdFlags, argv []string) error {
	r := childproc.NewRunner(a.warn)
	defer r.Close()
	out := os.Stdout
	if h.stdout != nil {
		out = h.stdout
	}
	p, err := a.startCommand(ctx, r, childproc.Command{
		Args: argv, Env: environment(h, h.keys, h.env...),
		Stdin: os.Stdin, Stdout: out, Stderr: os.Stderr, Grace: time.Duration(f.grace),
	}, h)
	switch {
	case errors.Is(err, childproc.ErrHoldEnded):
		return lostf("the %s was lost before the command began: %w", h.kind, a.lossOf(h, f))
	case err != nil:
		return cannotRun(argv[0], err)
	}
	res := p.Wait()
	a.sigs.releasing()
	switch {
	case res.Lost:
		return lostf("the %s was lost while the command ran, which was ended (status %d): %w",
			h.kind, res.Status, a.lossOf(h, f))
	case res.Status != 0:
		return &childError{status: res.Status, signal: res.Signal, keyboard: res.Keyboard}
	}
	return nil
}

// startCommand starts a command, to which later signals are forwarded.
func (a *app) startCommand(
	ctx context.Context, r *childproc.Runner, c childproc.Command, h childproc.Hold,
) (p *childproc.Process, err error) {
	a.sigs.forwardToNew(func() func(os.Signal) {
		p, err = r.Start(c, h)
		if err != nil {
			return nil
		}
		return p.Signal
	})
	// The signal arrived between the grant and the start.
	if by, ok := errors.AsType[*signalled](context.Cause(ctx)); ok && err == nil {
		p.Signal(by.signal)
	}
	return p, err
}

// lossOf returns the reason of a loss.
func (a *app) lossOf(h *hold, f *holdFlags) error {
	if err := h.Err(); err != nil {
		_, _ = errors.AsType[*session.BrokenError](err) // waits until the text is complete
		return err
	}
	if f.maxHold > 0 && a.session.Deadline().After(h.Deadline()) {
		return session.ErrOverdue // it will be, as soon as the --grace of the command has passed
	}
	return errors.New("no renewal was acknowledged in time")
}
