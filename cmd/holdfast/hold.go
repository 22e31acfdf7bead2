package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// holdFlags are the flags of verbs that hold something while a command runs.
type holdFlags struct {
	waitFlags
	ttl     duration
	grace   duration
	maxHold duration
	owner   string
}

func (f *holdFlags) add(cmd *cobra.Command, noWait bool) {
	f.waitFlags.add(cmd, noWait)
	f.addHold(cmd)
}

// addHold adds the flags that do not concern waiting.
func (f *holdFlags) addHold(cmd *cobra.Command) {
	f.ttl = duration(session.DefaultTTL)
	fs := cmd.Flags()
	fs.Var(&f.ttl, "ttl",
		"time after which others take over if this process dies or is cut off from etcd")
	fs.Var(&f.grace, "grace",
		"time between SIGTERM and SIGKILL when the hold is lost "+
			"(default a fifth of the TTL, at most 10s)")
	fs.StringVar(&f.owner, "owner", "", "name to show to others (default the command's)")
	cmd.Annotations = map[string]string{takesCommand: "yes"}
}

// addMaxHold adds the flag of the recipes that have a MaxHold.
func (f *holdFlags) addMaxHold(cmd *cobra.Command) {
	cmd.Flags().Var(&f.maxHold, "max-hold",
		"hold this long at most; the command is ended a --grace before (default without end)")
}

// parse separates the command from the arguments before it, and checks the flags.
func (f *holdFlags) parse(
	cmd *cobra.Command, args []string, least, most int,
) (names, argv []string, err error) {
	names, argv, err = split(cmd, args, least, most)
	if err == nil {
		err = f.check()
	}
	return names, argv, err
}

const maxGrace = 10 * time.Second

func (f *holdFlags) check() error {
	if err := f.waitFlags.check(); err != nil {
		return err
	}
	ttl := time.Duration(f.ttl)
	if ttl < 2*time.Second || ttl > 24*time.Hour {
		return usagef("--ttl %v is out of range; type a time from 2s to 24h", ttl)
	}
	if f.grace == 0 {
		f.grace = duration(min(ttl/5, maxGrace))
	}
	if time.Duration(f.grace) > ttl/2 {
		return usagef("--grace %v is more than half of the TTL of %v; type less, or a longer --ttl",
			time.Duration(f.grace), ttl)
	}
	if f.maxHold > 0 && f.maxHold < 2*f.grace {
		return usagef("--max-hold %v is less than twice the --grace of %v; type a longer one",
			time.Duration(f.maxHold), time.Duration(f.grace))
	}
	return nil
}

// sessionOptions returns the options of the session that holds.
func (f *holdFlags) sessionOptions(cmd *cobra.Command, argv []string) *session.Options {
	name := f.owner
	switch {
	case name != "":
	case len(argv) > 0:
		name = filepath.Base(argv[0]) // not the arguments, which may contain secrets
	default:
		name = cmd.CommandPath()
	}
	return &session.Options{
		TTL: time.Duration(f.ttl), AllowShortTTL: true, Name: name, ParentKey: parentKey(),
	}
}

// hold is a hold of a verb, and the function that releases it.
type hold struct {
	kind    string // "lock", "permit"
	keys    []string
	value   string   // the value of an elected leader
	env     []string // more environment for the command
	stdout  *os.File // of the command; nil is this process's
	release func(context.Context) error
	recipeHold
}

func newHold(kind string, h session.Hold, release func(context.Context) error) *hold {
	return &hold{kind: kind, keys: []string{h.Key()}, recipeHold: h, release: release}
}

// recipeHold is a session.Hold or a mutex.MultiLock, as far as verbs use it. It is a
// [childproc.Hold].
type recipeHold interface {
	Context() context.Context
	Err() error
	Fence() int64
	Deadline() time.Time
}

// acquirer acquires the hold of a verb.
type acquirer func(context.Context, *session.Session) (*hold, error)

// holdWhile acquires a hold, runs the command under it, and releases it. Without a command it
// prints the hold and keeps it until a signal arrives. A loss ends the command, see
// [app.runCommand], and the verb.
func (a *app) holdWhile(
	cmd *cobra.Command, f *holdFlags, names, argv []string, acquire acquirer,
) error {
	ctx := cmd.Context()
	s, err := a.openWith(ctx, &f.waitFlags, f.sessionOptions(cmd, argv))
	if err != nil {
		return err
	}
	h, err := acquire(ctx, s)
	if err != nil {
		return a.refusedBy(ctx, &f.waitFlags, names, err)
	}
	if len(argv) > 0 {
		err = a.runCommand(ctx, h, f, argv)
	} else {
		err = a.keepUntilSignal(ctx, h, f, names)
	}
	if isLost(err) {
		return err // the end of the session removes the rest
	}
	rctx, cancel := a.cleanUp(ctx)
	defer cancel()
	switch failed := h.release(rctx); {
	case failed == nil:
	case errors.Is(failed, session.ErrNotHeld) && !errors.Is(failed, gateway.ErrUncertain):
		return lostf("the %s was lost: %w", h.kind, failed)
	default:
		a.warn("the %s could not be released; it is free when the lease expires: %v",
			h.kind, failed)
	}
	return err
}

// keepUntilSignal prints the hold, as etcdctl does, and returns nil when a signal arrives.
func (a *app) keepUntilSignal(
	ctx context.Context, h *hold, f *holdFlags, names []string,
) error {
	lines := h.keys
	if h.value != "" {
		lines = append(slices.Clone(lines), h.value)
	}
	err := a.print(map[string]any{
		"names": names, "keys": h.keys, "fence": h.Fence(),
		"deadline": h.Deadline().UTC(), "lease": a.session.Lease().String(),
	}, strings.Join(lines, "\n"))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-h.Context().Done():
		return lostf("the %s was lost: %w", h.kind, a.lossOf(h, f))
	}
}
