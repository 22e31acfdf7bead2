package main

import (
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/session"
)

// maxDuration replaces all longer times. Ten times as much, the limit of a listing, still fits in a
// time.Duration.
const maxDuration = 25 * 365 * 24 * time.Hour

// duration is a flag: "1m30s", or a number of seconds, as flock and etcdctl take it.
type duration time.Duration

func (d *duration) Type() string { return "duration" }

// String returns "0" for zero, because the help then prints no default of its own.
func (d *duration) String() string {
	if *d == 0 {
		return "0"
	}
	return time.Duration(*d).String()
}

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if n, bad := strconv.ParseFloat(s, 64); bad == nil && n >= 0 && n <= math.MaxInt64 { // not NaN
		v, err = time.Duration(min(n, maxDuration.Seconds())*float64(time.Second)), nil
	}
	if err != nil || v < 0 {
		return errors.New("not a time; type 90, 1.5 or 1m30s")
	}
	*d = duration(min(v, maxDuration))
	return nil
}

// asksJSON reports whether --json is typed, for errors found before all flags are read.
func asksJSON(args []string) (yes bool) {
	for _, arg := range args {
		switch name, value, given := strings.Cut(arg, "="); {
		case arg == "--":
			return yes
		case name == "--json" && !given:
			yes = true
		case name == "--json":
			yes, _ = strconv.ParseBool(value) // an invalid value is reported elsewhere
		}
	}
	return yes
}

// holdFlags are the flags of verbs that hold something while a command runs.
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

// addHold adds the flags that do not concern waiting.
func (f *holdFlags) addHold(cmd *cobra.Command) {
	f.ttl = duration(session.DefaultTTL)
	fs := cmd.Flags()
	fs.Var(&f.ttl, "ttl", "time after which others take over when this process dies or is cut off")
	fs.Var(&f.grace, "grace",
		"time between SIGTERM and SIGKILL when the hold is lost "+
			"(default a fifth of the TTL, at most 10s)")
	fs.StringVar(&f.owner, "owner", "", "name to show to others (default the command's)")
	cmd.Annotations = map[string]string{commandNote: ""}
}

// commandNote marks the verbs that take a command after two dashes.
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
		return usagef("--grace %v is more than half of the TTL of %v; type less, or a longer --ttl",
			time.Duration(f.grace), ttl)
	}
	return nil
}

// session returns the options of the session that holds.
func (f *holdFlags) session(cmd *cobra.Command, argv []string) *session.Options {
	name := f.owner
	switch {
	case name != "":
	case len(argv) > 0:
		name = filepath.Base(argv[0]) // not the arguments, which may contain secrets
	default:
		name = cmd.CommandPath()
	}
	return &session.Options{
		TTL: time.Duration(f.ttl), AllowShortTTL: true, Name: name, ParentKey: heldAbove(),
	}
}

// noArgs returns a usage error if there are arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if cmd.HasSubCommands() {
			return usagef("no verb %q; type: %s --help", args[0], cmd.CommandPath())
		}
		return usagef("%q is one argument too many; type: %s", args[0], cmd.UseLine())
	}
	return nil
}

// one returns a usage error unless there is one argument.
func one(cmd *cobra.Command, args []string) error { return between(1, 1)(cmd, args) }

// between returns a check that there are least to most arguments.
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

// split separates the command from the least to most arguments before the two dashes. Without the
// dashes the words of a command count as names.
func split(cmd *cobra.Command, args []string, least, most int) (before, argv []string, err error) {
	before = args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		before, argv = args[:dash], args[dash:]
	}
	switch {
	case len(before) < least:
		return nil, nil, usagef("too few arguments; type: %s", cmd.UseLine())
	case len(before) > most:
		return nil, nil, usagef("%q is one argument too many; to run a command type: %s",
			before[most], cmd.UseLine())
	}
	return before, argv, lookUp(argv)
}
