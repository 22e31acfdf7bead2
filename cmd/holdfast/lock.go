package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

type lockFlags struct {
	holdFlags
	shared bool
	delay  duration
}

func lockCommand(a *app) *cobra.Command {
	f := &lockFlags{}
	cmd := &cobra.Command{
		Use:   "lock NAME... [-- COMMAND...]",
		Short: "Run a command under a lock, or hold it until a signal comes",
		Long: "Run a command under a lock. Without a command, print the lock's key and hold it until a signal comes.\n\n" +
			"Locks go to whoever came first. Several names are locked together, without deadlock. etcdctl lock and clientv3's\n" +
			"mutexes take part in the same locks.\n\n" +
			"Ctrl-Z stops the command as well. SIGSTOP stops holdfast alone, which can then not end the command when the lock is\n" +
			"lost: let what the command writes to refuse a smaller $HOLDFAST_FENCE.",
		Example: "  holdfast lock jobs/nightly -- ./nightly.sh\n" +
			"  holdfast lock -n jobs/nightly -- ./nightly.sh    # exit 1 if somebody has it\n" +
			"  holdfast lock accounts/1 accounts/2 -- ./transfer.sh",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := split(cmd, args, 1, 60)
			if err == nil {
				err = f.check(cmd, names)
			}
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := a.open(ctx, &f.waitFlags, f.session(cmd, argv))
			if err != nil {
				return err
			}
			h, err := f.acquire(ctx, a, s, names)
			if err != nil {
				return a.refused(ctx, &f.waitFlags, names, err, mutex.ErrLocked)
			}
			return a.keep(ctx, h, &f.holdFlags, argv)
		},
	}
	f.add(cmd, true)
	cmd.Flags().BoolVarP(&f.shared, "shared", "s", false, "share the lock with others that do")
	cmd.Flags().Var(&f.delay, "lock-delay", "wait this long after a holder that did not unlock; the same for all users of the lock")
	return cmd
}

func (f *lockFlags) check(cmd *cobra.Command, names []string) error {
	switch {
	case len(names) > 1 && cmd.ArgsLenAtDash() < 0:
		return usagef("several names, or a command? to run one type: holdfast lock %s -- %s; to hold several locks put -- behind them",
			names[0], names[1])
	case f.delay > 0 && (f.shared || len(names) > 1):
		return usagef("--lock-delay goes with one exclusive lock only; leave it out, or -s and the other names")
	case f.shared && len(names) > 1:
		return usagef("-s goes with one name only; type a command for each: holdfast lock -s %s -- holdfast lock -s %s -- …", names[0], names[1])
	}
	return f.holdFlags.check()
}

func (f *lockFlags) acquire(ctx context.Context, a *app, s *session.Session, names []string) (held, error) {
	if len(names) > 1 {
		several := attempt[*mutex.MultiLock]{
			try: func(ctx context.Context) (*mutex.MultiLock, error) {
				return mutex.TryLockAll(ctx, s, names...)
			},
			wait: func(ctx context.Context) (*mutex.MultiLock, error) {
				return mutex.LockAll(ctx, s, names...)
			},
			taken: mutex.ErrLocked,
		}
		l, err := several.get(ctx, a, &f.waitFlags)
		if err != nil {
			return held{}, err
		}
		return held{
			what: "lock", names: names, keys: l.Keys(), fence: l.Fence(), hold: l, release: l.Unlock,
		}, nil
	}
	m, rw := mutex.New(s, names[0], &mutex.Options{LockDelay: time.Duration(f.delay)}), mutex.NewRWMutex(s, names[0], nil)
	take := attempt[*mutex.Lock]{m.TryLock, m.Lock, mutex.ErrLocked, time.Duration(f.delay)}
	if f.shared {
		take.try, take.wait = rw.TryRLock, rw.RLock
	}
	l, err := take.get(ctx, a, &f.waitFlags)
	if err != nil {
		return held{}, err
	}
	return held{what: "lock", names: names, keys: []string{l.Key()}, fence: l.Fence(), hold: l, release: l.Unlock}, nil
}
