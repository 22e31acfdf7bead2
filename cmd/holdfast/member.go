package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/member"
)

// memberFlags describe a member of a group.
type memberFlags struct {
	id, value, zone string
	weight          int
	takeOver        bool
}

func (f *memberFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.id, "id", "", "the member's ID in the group (default a random text)")
	fs.StringVar(&f.value, "value", "", "value to show to others, such as an address")
	fs.StringVar(&f.zone, "zone", "", "the member's zone")
	fs.IntVar(&f.weight, "weight", 1, "share of the member in work that is divided")
	fs.BoolVar(&f.takeOver, "take-over", false, "replace a member that has the ID")
}

func (f *memberFlags) check() error {
	if f.weight < 1 || f.weight > member.MaxWeight {
		return usagef("--weight %d is out of range; type a number from 1 to %d",
			f.weight, member.MaxWeight)
	}
	return nil
}

// options returns the options of a member whose sessions are described by h.
func (f *memberFlags) options(cmd *cobra.Command, h *holdFlags, argv []string) *member.Options {
	return &member.Options{
		ID: f.id, Value: f.value, Zone: f.zone, Weight: f.weight, TakeOver: f.takeOver,
		Session: h.sessionOptions(cmd, argv),
	}
}

const joinHelp = `Be a member of a group while a command runs, or without one until a signal
arrives. The member returns after every loss of its lease or key, and after outages of any
length; the command goes on. The command gets HOLDFAST_MEMBER, the ID.`

func memberCommand(a *app) *cobra.Command {
	f, m := &holdFlags{}, &memberFlags{}
	join := &cobra.Command{
		Use:   "join NAME [-- COMMAND...]",
		Short: "Be a member while a command runs",
		Long: joinHelp + "\n\nExit status: the command's; 1 if another member has the ID; 75 if " +
			"another\nmember has taken over." + otherStatus,
		Example: "  holdfast member join services/api --id api-0 --value 10.0.0.7:8080 -- ./api",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			if err == nil {
				err = m.check()
			}
			if err != nil {
				return err
			}
			return a.join(cmd.Context(), f, names[0], m.options(cmd, f, argv), argv)
		},
	}
	f.addHold(join)
	m.add(join)
	return group("member", "Join a group", "Join a group.", "NAME", join)
}

// join keeps a member while the command runs, or until a signal arrives.
func (a *app) join(
	ctx context.Context, f *holdFlags, name string, opts *member.Options, argv []string,
) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	first, cancel := a.bounded(ctx)
	defer cancel()
	stop := context.AfterFunc(first, func() { end(context.Cause(first)) })
	m, err := member.Join(life, c, name, opts)
	stop()
	switch {
	case errors.Is(err, member.ErrTaken):
		return nof("%w", err)
	case err != nil:
		return err
	}
	a.log.mute(false)
	if len(argv) > 0 {
		err = a.runMember(ctx, f, m, argv)
	} else {
		err = a.stayUntilSignal(ctx, name, m)
	}
	rctx, cancel := a.cleanUp(ctx)
	defer cancel()
	if failed := m.Leave(rctx); failed != nil && !isLost(err) {
		a.warn("the member could not leave; it is gone when its lease expires: %v", failed)
	}
	return err
}

func (a *app) runMember(
	ctx context.Context, f *holdFlags, m *member.Membership, argv []string,
) error {
	r := childproc.NewRunner(a.warn)
	defer r.Close()
	p, err := a.startCommand(ctx, r, childproc.Command{
		Args: argv, Env: append(os.Environ(), "HOLDFAST_MEMBER="+m.ID()),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Grace: time.Duration(f.grace),
	}, untilReplaced{m})
	if errors.Is(err, childproc.ErrHoldEnded) {
		return lostf("the membership has ended before the command began: %w", m.Err())
	}
	if err != nil {
		return cannotRun(argv[0], err)
	}
	res := p.Wait()
	a.sigs.releasing()
	switch {
	case res.Lost:
		return lostf("the membership has ended while the command ran, which was ended "+
			"(status %d): %w", res.Status, m.Err())
	case res.Status != 0:
		return &childError{status: res.Status, signal: res.Signal, keyboard: res.Keyboard}
	}
	return nil
}

// untilReplaced lets a command run while its membership lives, also without a lease.
type untilReplaced struct{ *member.Membership }

func (untilReplaced) Deadline() time.Time { return time.Now().Add(time.Hour) }

func (a *app) stayUntilSignal(ctx context.Context, name string, m *member.Membership) error {
	err := a.print(map[string]any{"group": name, "id": m.ID(), "key": m.Key()}, m.Key())
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-m.Context().Done():
		return lostf("the membership has ended: %w", m.Err())
	}
}
