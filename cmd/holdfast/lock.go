package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

const lockHelp = `Run a command under a lock, and release the lock when the command has ended.
Without a command, print the lock's key and hold the lock until a signal arrives.

The lock is granted in the order of arrival. Several names are locked together,
without deadlock. etcdctl lock and clientv3's mutexes take part in the same locks.

Ctrl-Z stops the command as well. SIGSTOP stops holdfast alone, which then cannot
end the command when the lock is lost. Therefore the systems that the command
writes to should refuse a smaller $HOLDFAST_FENCE.`

type lockFlags struct {
	holdFlags
	detachFlags
	shared bool
	delay  duration
}

func lockCommand(a *app) *cobra.Command {
	f := &lockFlags{}
	cmd := &cobra.Command{
		Use:   "lock NAME... [-- COMMAND...]",
		Short: "Run a command under a lock, or hold it until a signal arrives",
		Long:  lockHelp + exitOfHold,
		Example: "  holdfast lock jobs/nightly -- ./nightly.sh\n" +
			"  holdfast lock -n jobs/nightly -- ./nightly.sh    # exit 1 if it is locked\n" +
			"  holdfast lock accounts/1 accounts/2 -- ./transfer.sh\n" +
			"  token=$(holdfast lock --detach --for 30m deploy)  # later: holdfast unlock $token",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 60)
			if err == nil {
				err = f.checkNames(cmd, names)
			}
			if err == nil {
				err = f.detachFlags.check(cmd, names, f)
			}
			if err != nil {
				return err
			}
			if f.detach {
				return a.lockDetached(cmd, f, names[0])
			}
			return a.holdWhile(cmd, &f.holdFlags, names, argv,
				func(ctx context.Context, s *session.Session) (*hold, error) {
					if len(names) > 1 {
						return f.lockAll(ctx, a, s, names)
					}
					return f.lock(ctx, a, s, names[0])
				})
		},
	}
	f.holdFlags.add(cmd, true)
	f.detachFlags.add(cmd)
	f.addMaxHold(cmd)
	cmd.Flags().BoolVarP(&f.shared, "shared", "s", false, "share the lock with others that do")
	cmd.Flags().Var(&f.delay, "lock-delay",
		"wait this long after a holder that did not unlock; the same for all users of the lock")
	return cmd
}

func (f *lockFlags) checkNames(cmd *cobra.Command, names []string) error {
	switch {
	case len(names) > 1 && cmd.ArgsLenAtDash() < 0:
		return usagef("several names, or a command? to run one type: holdfast lock %s -- %s; to "+
			"hold several locks put -- behind them",
			names[0], names[1])
	case f.maxHold > 0 && len(names) > 1:
		return usagef("--max-hold goes with one name only; leave it out, or the other names")
	case f.delay > 0 && (f.shared || len(names) > 1):
		return usagef("--lock-delay goes with one exclusive lock only; leave it out, or -s and " +
			"the other names")
	case f.shared && len(names) > 1:
		return usagef("-s goes with one name only; type a command for each: holdfast lock -s %s "+
			"-- holdfast lock -s %s -- …", names[0], names[1])
	}
	return nil
}

func (f *lockFlags) lock(
	ctx context.Context, a *app, s *session.Session, name string,
) (*hold, error) {
	opts := &mutex.Options{LockDelay: time.Duration(f.delay), MaxHold: time.Duration(f.maxHold)}
	m := mutex.New(s, name, opts)
	verb := attempt[*mutex.Lock]{try: m.TryLock, wait: m.Lock, delay: time.Duration(f.delay)}
	if f.shared {
		rw := mutex.NewRWMutex(s, name, opts)
		verb.try, verb.wait = rw.TryRLock, rw.RLock
	}
	l, err := verb.get(ctx, a, &f.waitFlags)
	if err != nil {
		return nil, err
	}
	return newHold("lock", l, l.Unlock), nil
}

func (f *lockFlags) lockAll(
	ctx context.Context, a *app, s *session.Session, names []string,
) (*hold, error) {
	l, err := attempt[*mutex.MultiLock]{
		try: func(ctx context.Context) (*mutex.MultiLock, error) {
			return mutex.TryLockAll(ctx, s, names...)
		},
		wait: func(ctx context.Context) (*mutex.MultiLock, error) {
			return mutex.LockAll(ctx, s, names...)
		},
	}.get(ctx, a, &f.waitFlags)
	if err != nil {
		return nil, err
	}
	return &hold{
		kind: "lock", keys: l.Keys(), recipeHold: l, release: l.Unlock,
	}, nil
}
