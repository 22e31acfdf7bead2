package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/limit"
)

const limitHelp = `Wait for a token of a limit that all users of the name share, and then run a
command. All must type the same rate. Without a command, exit with 0 when there is a token.

The command replaces holdfast, and needs no etcd. How long it runs does not count.`

type limitFlags struct {
	waitFlags
	rate   rate
	burst  int64
	tokens int64
}

func limitCommand(a *app) *cobra.Command {
	f := &limitFlags{}
	cmd := &cobra.Command{
		Use:   "limit NAME --rate N/TIME [-- COMMAND...]",
		Short: "Run a command at a rate that all processes share",
		Long: limitHelp + "\n\nExit status: the command's; 1, or the value of -E, if the wait was " +
			"in\nvain." + otherStatus,
		Example: "  holdfast limit mails --rate 10/s -- ./send.sh\n" +
			"  holdfast limit api --rate 1000/h --burst 10 -w 30 || echo \"try later\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 1, 1)
			if err == nil {
				err = f.check(names[0])
			}
			if err != nil {
				return err
			}
			return f.run(cmd, a, names[0], argv)
		},
	}
	f.add(cmd, true)
	cmd.Annotations = map[string]string{takesCommand: "yes"}
	fs := cmd.Flags()
	fs.Var(&f.rate, "rate", "tokens for each time; the same for all users of the name")
	fs.Int64Var(&f.burst, "burst", 0,
		"tokens at one moment; the same for all users of the name (default N)")
	fs.Int64Var(&f.tokens, "tokens", 1, "number of tokens to take")
	return cmd
}

func (f *limitFlags) check(name string) error {
	most := f.burst
	if most == 0 {
		most = f.rate.Tokens
	}
	switch {
	case f.rate.Tokens == 0:
		return usagef("at which rate? type: holdfast limit %s --rate 10/s -- COMMAND", name)
	case f.burst < 0:
		return usagef("--burst %d is negative; type a number from 1", f.burst)
	case f.tokens < 1 || f.tokens > most:
		return usagef("--tokens %d is not between 1 and the burst of %d; type another",
			f.tokens, most)
	}
	f.rate.Burst = f.burst
	return f.waitFlags.check()
}

func (f *limitFlags) run(cmd *cobra.Command, a *app, name string, argv []string) error {
	ctx := cmd.Context()
	s, err := a.open(cmd, &f.waitFlags)
	if err != nil {
		return err
	}
	// The tokens of a process that dies while it waits go back.
	l := limit.New(s, name, limit.Rate(f.rate), &limit.Options{Block: 1})
	if err := a.waitFor(ctx, &f.waitFlags, f.look(l), f.waitAt(l)); err != nil {
		if !errors.Is(err, gateway.ErrInvalid) {
			a.closeLimiter(ctx, l)
		}
		return err
	}
	a.closeLimiter(ctx, l)
	if len(argv) == 0 {
		return nil
	}
	return a.replaceBy(ctx, argv)
}

// look takes the tokens if they are available now.
func (f *limitFlags) look(l *limit.Limiter) func(context.Context) error {
	return func(ctx context.Context) error {
		ok, err := l.Allow(ctx, f.tokens)
		if err == nil && !ok {
			err = errNotInTime
		}
		return err
	}
}

// waitAt waits for the tokens. Wait returns at once if they are not available before the deadline.
func (f *limitFlags) waitAt(l *limit.Limiter) func(context.Context) error {
	return func(ctx context.Context) error {
		err := l.Wait(ctx, f.tokens)
		if err != nil && f.bounded() && ctx.Err() == nil &&
			errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", errNotInTime, err)
		}
		return err
	}
}

// closeLimiter gives back the tokens that were not used.
func (a *app) closeLimiter(ctx context.Context, l *limit.Limiter) {
	ctx, cancel := a.cleanUp(ctx)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		a.warn("the limit could not be left; its tokens go back when the lease expires: %v", err)
	}
}

// replaceBy ends the session, and replaces this process by a command. It returns if it cannot.
func (a *app) replaceBy(ctx context.Context, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return cannotRun(argv[0], err)
	}
	a.close() //nolint:contextcheck // it has a timeout of its own
	a.session, a.client = nil, nil
	if ctx.Err() != nil {
		return context.Cause(ctx) // a signal
	}
	return replaceProcess(path, argv)
}

// rate is a flag: "10/s", or "5/1m30s".
type rate limit.Rate

func (r *rate) Type() string { return "rate" }

func (r *rate) String() string {
	if r.Tokens == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%v", r.Tokens, r.Per)
}

func (r *rate) Set(s string) error {
	tokens, per, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(tokens, 10, 64)
	d, badUnit := time.ParseDuration(per)
	if badUnit != nil {
		d, badUnit = time.ParseDuration("1" + per)
	}
	if err != nil || badUnit != nil || n < 1 || d <= 0 {
		return errors.New("not a rate; type 10/s, 100/m or 5/1m30s")
	}
	r.Tokens, r.Per = n, d
	return nil
}
