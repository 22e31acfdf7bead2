package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// held is a hold of a verb, and the function that releases it.
type held struct {
	what    string // "lock", "permit"
	names   []string
	keys    []string
	fence   int64
	value   string   // the value of an elected leader
	env     []string // more environment for the command
	hold    holding
	release func(context.Context) error
}

// holding is the set of methods that all holds of the recipes share, several locks too.
type holding interface {
	Context() context.Context
	Err() error
	Deadline() time.Time
}

// lasting adapts a hold to childproc.Hold.
type lasting struct{ holding }

func (l lasting) Done() <-chan struct{} { return l.Context().Done() }

// The environment of a command that runs under a hold. The last two are etcdctl's.
const (
	envFence    = "HOLDFAST_FENCE"
	envKey      = "HOLDFAST_KEY"
	envDeadline = "HOLDFAST_DEADLINE"
	envCtlKey   = "ETCD_LOCK_KEY"
	envCtlRev   = "ETCD_LOCK_REV"
)

// heldAbove returns the key of the hold that this process runs under, or "". If there are several
// it returns the first.
func heldAbove() string {
	key, _, _ := strings.Cut(os.Getenv(envKey), "\n")
	return key
}

func environment(keys []string, fence int64, deadline time.Time, more ...string) []string {
	key, rev := strings.Join(keys, "\n"), strconv.FormatInt(fence, 10)
	return append(append(os.Environ(),
		envFence+"="+rev, envKey+"="+key,
		envDeadline+"="+deadline.UTC().Format(time.RFC3339Nano),
		envCtlKey+"="+key, envCtlRev+"="+rev,
	), more...)
}

// lookUp finds the command before anything is acquired for it.
func lookUp(argv []string) error {
	if len(argv) == 0 {
		return nil
	}
	_, err := exec.LookPath(argv[0])
	return cannotRun(argv[0], err)
}

func cannotRun(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &exitError{codeNotFound, fmt.Errorf("%s: no such command", name)}
	}
	return &exitError{codeCannotRun, fmt.Errorf("cannot run %s: %w", name, err)}
}

// keep runs the command under the hold. Without a command it prints the hold and keeps it until a
// signal arrives. Then it releases the hold.
func (a *app) keep(ctx context.Context, h held, f *holdFlags, argv []string) error {
	err := a.keepOn(ctx, h, f, argv)
	if isLost(err) {
		return err // the end of the session removes the rest
	}
	rctx, cancel := a.after(ctx)
	defer cancel()
	switch back := h.release(rctx); {
	case back == nil:
	case errors.Is(back, session.ErrNotHeld) && !errors.Is(back, gateway.ErrUncertain):
		return lostf("the %s was lost: %w", h.what, back)
	default:
		a.warn("the %s could not be given back; it is free when the lease runs out: %v",
			h.what, back)
	}
	return err
}

func (a *app) keepOn(ctx context.Context, h held, f *holdFlags, argv []string) error {
	if len(argv) == 0 {
		if err := a.show(h); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // a signal, the usual end
		case <-h.hold.Context().Done():
			return lostf("the %s was lost: %w", h.what, h.hold.Err())
		}
	}
	return a.runUnder(ctx, h, f, argv)
}

// runUnder runs the command under the hold.
func (a *app) runUnder(ctx context.Context, h held, f *holdFlags, argv []string) error {
	hold := lasting{h.hold}
	r := childproc.NewRunner(a.warn)
	defer r.Close()
	var p *childproc.Process
	var err error
	a.sigs.forwardTo(func() func(os.Signal) {
		p, err = r.Start(childproc.Command{
			Args: argv, Env: environment(h.keys, h.fence, hold.Deadline(), h.env...),
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Grace: time.Duration(f.grace),
		}, hold)
		if err != nil {
			return nil
		}
		return p.Signal
	})
	switch {
	case errors.Is(err, childproc.ErrOver):
		return lostf("the %s was lost before the command began: %w", h.what, whyLost(h.hold))
	case err != nil:
		return cannotRun(argv[0], err)
	}
	// The signal arrived between the grant and the start.
	if gone, ok := errors.AsType[*signalled](context.Cause(ctx)); ok {
		p.Signal(gone.signal)
	}
	res := p.Wait()
	a.sigs.closing()
	switch {
	case res.Lost:
		return lostf("the %s was lost while the command ran, which was ended (status %d): %w",
			h.what, res.Status, whyLost(h.hold))
	case res.Status != 0:
		return &childError{status: res.Status, signal: res.Signal, keyboard: res.Keyboard}
	}
	return nil
}

func whyLost(h holding) error {
	if err := h.Err(); err != nil {
		return err
	}
	return errors.New("no renewal was acknowledged in time")
}

// show prints the hold, as etcdctl does.
func (a *app) show(h held) error {
	if a.json {
		return printJSON(stdout, map[string]any{
			"names": h.names, "keys": h.keys, "fence": h.fence,
			"deadline": h.hold.Deadline().UTC(), "lease": a.session.Lease().String(),
		})
	}
	lines := h.keys
	if h.value != "" {
		lines = append(slices.Clone(lines), h.value)
	}
	_, err := fmt.Fprintln(stdout, strings.Join(lines, "\n"))
	return err
}

func lostf(format string, args ...any) error {
	return &exitError{codeLost, fmt.Errorf(format, args...)}
}

func isLost(err error) bool {
	exit, ok := errors.AsType[*exitError](err)
	return ok && exit.code == codeLost
}
