package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// detachFlags are the flags of a lock that outlives the program.
type detachFlags struct {
	detach bool
	time   duration
}

func (f *detachFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.detach, "detach", false,
		"print a token and exit; the lock stays until holdfast unlock TOKEN, or --for is over")
	addFor(cmd, &f.time)
}

// defaultFor is the time for which a lock is detached unless another is typed.
const defaultFor = 10 * time.Minute

func addFor(cmd *cobra.Command, d *duration) {
	*d = duration(defaultFor)
	cmd.Flags().Var(d, "for", "time after which a detached lock is free")
}

func checkFor(d duration) error {
	if t := time.Duration(d); t < time.Second || t > gateway.MaxTTL {
		return usagef("--for %v is out of range; type a time from 1s to %v", t, gateway.MaxTTL)
	}
	return nil
}

// check validates the flags of a lock with these names and a command.
func (f *detachFlags) check(cmd *cobra.Command, names []string, other *lockFlags) error {
	switch {
	case !f.detach && cmd.Flags().Changed("for"):
		return usagef("--for goes with --detach only; type both, or leave it out")
	case !f.detach:
		return nil
	case cmd.ArgsLenAtDash() >= 0 || len(names) > 1:
		return usagef("--detach goes with one name and no command; type: holdfast lock --detach %s",
			names[0])
	case other.shared || other.maxHold > 0:
		return usagef("--detach goes without -s and --max-hold; leave them out")
	}
	return checkFor(f.time)
}

// lockDetached acquires a lock, detaches it and prints its token.
func (a *app) lockDetached(cmd *cobra.Command, f *lockFlags, name string) error {
	ctx := cmd.Context()
	s, err := a.openWith(ctx, &f.waitFlags, f.sessionOptions(cmd, nil))
	if err != nil {
		return err
	}
	delay := time.Duration(f.delay)
	m := mutex.New(s, name, &mutex.Options{LockDelay: delay, Detachable: true})
	lock, err := attempt[*mutex.Lock]{
		try: m.TryLock, wait: m.Lock, delay: delay,
	}.get(ctx, a, &f.waitFlags)
	if err != nil {
		return a.refusedBy(ctx, &f.waitFlags, []string{name}, err)
	}
	rctx, cancel := a.cleanUp(ctx)
	defer cancel()
	token, err := lock.Detach(rctx, time.Duration(f.time))
	if err != nil {
		return err // the end of the session releases the lock
	}
	err = a.print(map[string]any{
		"name": name, "token": token, "key": lock.Key(), "fence": lock.Fence(),
	}, string(token))
	if err != nil { // the token is printed nowhere
		return errors.Join(err, mutex.Release(rctx, a.client, token))
	}
	return nil
}

const tokenHelp = ` A token is from
holdfast lock --detach. Everybody who may write the lock's key can use it.`

func renewCommand(a *app) *cobra.Command {
	d := duration(0)
	cmd := &cobra.Command{
		Use:   "renew TOKEN",
		Short: "Keep a detached lock for longer",
		Long: "Keep a detached lock for the time --for from now on." + tokenHelp +
			exitStatus("1 if the lock is not held any more"),
		Example: "  holdfast renew \"$token\" --for 30m",
		Args:    one,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFor(d); err != nil {
				return err
			}
			return a.byToken(cmd, func(ctx context.Context, c *gateway.Client) error {
				return mutex.Renew(ctx, c, mutex.Token(args[0]), time.Duration(d))
			})
		},
	}
	addFor(cmd, &d)
	return cmd
}

func unlockCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unlock TOKEN",
		Short: "Release a detached lock",
		Long: "Release a detached lock." + tokenHelp +
			exitStatus("1 if the lock is not held any more"),
		Example: "  token=$(holdfast lock --detach --for 30m deploy)\n" +
			"  holdfast unlock \"$token\"",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.byToken(cmd, func(ctx context.Context, c *gateway.Client) error {
				return mutex.Release(ctx, c, mutex.Token(args[0]))
			})
		},
	}
}

// byToken runs fn, which needs no session, within the command-timeout.
func (a *app) byToken(
	cmd *cobra.Command, fn func(context.Context, *gateway.Client) error,
) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	ctx, cancel := a.bounded(cmd.Context())
	defer cancel()
	err = fn(ctx, c)
	if errors.Is(err, session.ErrNotHeld) {
		return nof("the lock has expired, was released, or has another owner")
	}
	return err
}
