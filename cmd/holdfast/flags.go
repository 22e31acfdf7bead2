package main

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/session"
)

// maxSeconds is what a time.Duration holds, about.
const maxSeconds = 9e9

// duration is a flag: "1m30s", or a number of seconds, as flock and etcdctl take it.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }
func (d *duration) Type() string   { return "duration" }

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if n, bad := strconv.ParseFloat(s, 64); bad == nil && n < maxSeconds {
		v, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || v < 0 {
		return errors.New("not a time; type 90, 1.5 or 1m30s")
	}
	*d = duration(v)
	return nil
}

// waitFlags say how long to wait for what somebody else has.
type waitFlags struct {
	noWait bool
	wait   duration
	given  func() bool // whether wait was typed; nil where it cannot be
	code   int
	began  time.Time // when wait began, which includes the way to etcd
}

func (f *waitFlags) add(cmd *cobra.Command, noWait bool) {
	fs := cmd.Flags()
	if noWait {
		fs.BoolVarP(&f.noWait, "no-wait", "n", false, "do not wait")
	}
	fs.VarP(&f.wait, "wait", "w", "wait this long at most")
	fs.IntVarP(&f.code, "conflict-exit-code", "E", codeNo, "exit with this status if it was not acquired")
	f.given = func() bool { return fs.Changed("wait") }
}

func (f *waitFlags) bounded() bool { return f.given != nil && f.given() }

// check refuses what cannot be meant, and begins the wait.
func (f *waitFlags) check() error {
	if f.code < 0 || f.code > 255 {
		return usagef("-E %d is no exit status; type a number from 0 to 255", f.code)
	}
	if f.noWait && f.bounded() {
		return usagef("-n and -w contradict each other; type one of them")
	}
	f.began = time.Now()
	return nil
}

// context is ctx for as long as it is to be waited.
func (f *waitFlags) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if !f.bounded() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, f.began.Add(time.Duration(f.wait)), errNotInTime)
}

// refused gives the error of what was not acquired the status that was asked for. others are further errors that say so.
func (f *waitFlags) refused(err error, others ...error) error {
	for _, other := range append(others, errNotInTime) {
		if errors.Is(err, other) {
			return &exitError{f.code, err}
		}
	}
	return err
}

// holdFlags are those of the verbs that hold something while a command runs.
type holdFlags struct {
	waitFlags
	ttl   duration
	grace duration
	owner string
}

func (f *holdFlags) add(cmd *cobra.Command, noWait bool) {
	f.waitFlags.add(cmd, noWait)
	f.addHold(cmd)
}

// addHold adds those that have nothing to do with waiting.
func (f *holdFlags) addHold(cmd *cobra.Command) {
	f.ttl = duration(session.DefaultTTL)
	fs := cmd.Flags()
	fs.Var(&f.ttl, "ttl", "time after which others take over when this process dies or is cut off")
	fs.Var(&f.grace, "grace", "time between SIGTERM and SIGKILL when the hold is lost (default a fifth of the TTL, at most 10s)")
	fs.StringVar(&f.owner, "owner", "", "name to show to others (default the command's)")
	cmd.Annotations = map[string]string{commandNote: ""}
}

// commandNote marks the verbs that take a command behind two dashes.
const commandNote = "command"

func takesCommand(cmd *cobra.Command) bool {
	_, ok := cmd.Annotations[commandNote]
	return ok
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
		return usagef("--grace %v is more than half of the TTL of %v; type less, or a longer --ttl", time.Duration(f.grace), ttl)
	}
	return nil
}

// session are the options of the session that holds.
func (f *holdFlags) session(cmd *cobra.Command, argv []string) *session.Options {
	name := f.owner
	switch {
	case name != "":
	case len(argv) > 0:
		name = filepath.Base(argv[0]) // not its arguments, which may hold secrets
	default:
		name = cmd.CommandPath()
	}
	return &session.Options{TTL: time.Duration(f.ttl), AllowShortTTL: true, Name: name, Within: heldAbove()}
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if cmd.HasSubCommands() {
			return usagef("no verb %q; type: %s --help", args[0], cmd.CommandPath())
		}
		return usagef("%q is one argument too many; type: %s", args[0], cmd.UseLine())
	}
	return nil
}

// one takes one argument.
func one(cmd *cobra.Command, args []string) error { return between(1, 1)(cmd, args) }

// between takes as many arguments as the use line has names.
func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("too few arguments; type: %s", cmd.UseLine())
		case len(args) > most:
			return usagef("%q is one argument too many; type: %s", args[most], cmd.UseLine())
		}
		return nil
	}
}

// split takes the command apart from what stands before the two dashes, of which there must be least to most. A command
// without the dashes would be taken for names.
func split(cmd *cobra.Command, args []string, least, most int) (before, argv []string, err error) {
	before = args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		before, argv = args[:dash], args[dash:]
	}
	switch {
	case len(before) < least:
		return nil, nil, usagef("too few arguments; type: %s", cmd.UseLine())
	case len(before) > most:
		return nil, nil, usagef("%q is one argument too many; to run a command type: %s", before[most], cmd.UseLine())
	}
	return before, argv, lookUp(argv)
}
