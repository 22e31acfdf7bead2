package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

type shardFlags struct {
	holdFlags
	member memberFlags
	shards int
	drain  duration
}

const shardRunHelp = `Divide the shards of a group among its members, and run a command for each
shard of this one. The command gets HOLDFAST_SHARD, from 0, and the fence. When the shard moves
it gets SIGTERM, and SIGKILL after --grace; the next owner starts its command then. A
command that exits with 0 earlier keeps its shard; any other status ends holdfast.

A signal ends holdfast: the shards move to the other members, one after the other.`

func shardCommand(a *app) *cobra.Command {
	f := &shardFlags{}
	run := &cobra.Command{
		Use:   "run NAME --shards N -- COMMAND...",
		Short: "Run a command for each shard of this member",
		Long: shardRunHelp + "\n\nExit status: 0 ended by a signal; that of a command that failed; " +
			"1 if another\nmember has the ID; 75 if another member has taken over." + otherStatus,
		Example: "  holdfast shard run tenants --shards 64 --id \"$HOSTNAME\" -- ./worker",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			if err == nil {
				err = f.member.check()
			}
			switch {
			case err != nil:
				return err
			case len(argv) == 0:
				return usagef("no command to run; "+
					"type: holdfast shard run %s --shards N -- COMMAND", names[0])
			case f.shards < 1 || f.shards > shard.MaxShards:
				return usagef("--shards %d is out of range; type a number from 1 to %d",
					f.shards, shard.MaxShards)
			}
			opts := &shard.Options{
				Member:       *f.member.options(cmd, &f.holdFlags, argv),
				DrainTimeout: time.Duration(f.drain),
			}
			return a.runShards(cmd.Context(), f, names[0], opts, argv)
		},
	}
	f.addHold(run)
	f.member.add(run)
	f.drain = duration(shard.DefaultDrainTimeout)
	fs := run.Flags()
	fs.IntVar(&f.shards, "shards", 0, "the number of shards of the group; the same for all members")
	fs.Var(&f.drain, "drain", "time for the moves after a signal")
	return group("shard", "Run commands for shards", "Run commands for shards.", "NAME", run,
		shardOrder(a, "pause", "SHARD", "Stop a shard", "stops the shard, and returns when no member "+
			"holds it", "3", onShard(pauseShard)),
		shardOrder(a, "resume", "SHARD", "End a pause", "", "3", onShard(
			func(ctx context.Context, c *gateway.Client, name string, n int, _ string) error {
				return shard.Resume(ctx, c, name, n)
			})),
		shardOrder(a, "drain", "ID", "Move the shards of a member to others", "moves the shards of a "+
			"member, and returns when it has none", "worker-1", shard.Drain),
		shardOrder(a, "undrain", "ID", "End a drain", "", "worker-1",
			func(ctx context.Context, c *gateway.Client, name, id, _ string) error {
				return shard.Undrain(ctx, c, name, id)
			}))
}

func (a *app) runShards(
	ctx context.Context, f *shardFlags, name string, opts *shard.Options, argv []string,
) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	if err := a.awaitAnswer(ctx, name); err != nil {
		return err
	}
	r := childproc.NewRunner(a.warn)
	defer r.Close()
	null, err := os.Open(os.DevNull) // the commands cannot share an input
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	err = shard.Run(ctx, c, name, f.shards, func(ctx context.Context, s *shard.Shard) error {
		return f.runShard(ctx, r, s, childproc.Command{
			Args: argv, Stdin: null, Stdout: os.Stdout, Stderr: os.Stderr,
			Grace: time.Duration(f.grace),
		})
	}, opts)
	var child *childError
	switch {
	case errors.As(err, &child):
		return err
	case ctx.Err() != nil:
		return nil // a signal, the usual end
	case errors.Is(err, member.ErrReplaced):
		return lostf("%w", err)
	case errors.Is(err, member.ErrTaken):
		return nof("%w", err)
	}
	return err
}

// runShard runs the command of a shard until it ends, the shard moves, or it is lost.
func (f *shardFlags) runShard(
	ctx context.Context, r *childproc.Runner, s *shard.Shard, c childproc.Command,
) error {
	c.Env = environment(s, []string{s.Key()}, "HOLDFAST_SHARD="+number(int64(s.Number())))
	p, err := r.Start(c, s)
	switch {
	case errors.Is(err, childproc.ErrHoldEnded):
		return nil // it is acquired again
	case err != nil:
		return cannotRun(c.Args[0], err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			p.Signal(syscall.SIGTERM)
		case <-ended:
			return
		}
		select {
		case <-time.After(c.Grace):
			p.Signal(syscall.SIGKILL)
		case <-ended:
		}
	}()
	res := p.Wait()
	if res.Status == 0 || res.Lost || ctx.Err() != nil {
		return nil
	}
	return &childError{status: res.Status}
}
