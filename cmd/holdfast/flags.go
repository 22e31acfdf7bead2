package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
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

// noArgs returns a usage error if there are arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && cmd.HasSubCommands() {
		return usagef("no verb %q; type: %s --help", args[0], cmd.CommandPath())
	}
	return between(0, 0)(cmd, args)
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

// takesCommand marks the verbs that take a command after two dashes.
const takesCommand = "command"

// split separates the command from the least to most arguments before the two dashes. Without the
// dashes the words of a command count as names.
func split(cmd *cobra.Command, args []string, least, most int) (before, argv []string, err error) {
	before = args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		before, argv = args[:dash], args[dash:]
	}
	if err := between(least, most)(cmd, before); err != nil {
		return nil, nil, err
	}
	return before, argv, findCommand(argv)
}
