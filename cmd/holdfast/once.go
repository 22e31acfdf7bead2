package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/once"
)

type onceFlags struct {
	holdFlags
	keep        duration
	waits       bool
	maxAttempts int
}

const onceHelp = `Run a command once for all callers of a name, and print its standard output, which
is the result, at most 1 MiB. Later callers print the result without running theirs.
The command also gets HOLDFAST_ATTEMPT, from 1.

If another caller runs the command, the exit status is 1, or with --wait this caller
waits for the result. If a command fails, holdfast exits with its status, and the next
caller runs its own, after a pause that doubles from 1s to 1m. After --max-attempts the
failure is the result. A run counts however it ends.`

func onceCommand(a *app) *cobra.Command {
	f := &onceFlags{}
	cmd := &cobra.Command{
		Use:   "once NAME -- COMMAND...",
		Short: "Run a command once for all callers of a name",
		Long: onceHelp + "\n\nExit status: the command's, also where others ran it for the last\n" +
			"time; 1 if another caller runs it; 75 if the hold was lost." + otherStatus,
		Example: "  holdfast once migrations/7 --wait -- ./migrate.sh\n" +
			"  holdfast once \"backup/$(date +%F)\" --keep 48h -- ./backup.sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 1)
			switch {
			case err != nil:
				return err
			case len(argv) == 0:
				return usagef("no command to run; type: holdfast once %s -- COMMAND", names[0])
			case f.maxAttempts < 0:
				return usagef("--max-attempts %d is negative; "+
					"type a number from 1, or 0 for no end", f.maxAttempts)
			}
			return f.run(cmd, a, names[0], argv)
		},
	}
	f.addHold(cmd)
	f.code = codeNo
	fs := cmd.Flags()
	fs.Var(&f.keep, "keep", "time for which the result is kept (default without end)")
	fs.BoolVar(&f.waits, "wait", false, "wait while another caller runs the command")
	fs.IntVar(&f.maxAttempts, "max-attempts", 0,
		"number of runs after which a failure is the result (default without end)")
	return cmd
}

func (f *onceFlags) run(cmd *cobra.Command, a *app, name string, argv []string) error {
	ctx := cmd.Context()
	s, err := a.openWith(ctx, &f.waitFlags, f.sessionOptions(cmd, argv))
	if err != nil {
		return err
	}
	o := once.New(s, name, &once.Options{
		Retention: time.Duration(f.keep), MaxAttempts: f.maxAttempts,
	})
	do := o.TryDo
	if f.waits {
		do = o.Do
	}
	res, err := do(ctx, func(ctx context.Context, run *once.Run) ([]byte, error) {
		return f.runOnce(ctx, a, run, argv)
	})
	if err != nil {
		return a.refusedBy(ctx, &f.waitFlags, []string{name}, failedElsewhere(err))
	}
	if a.json {
		return printJSON(stdout, withValue(map[string]any{
			"name": name, "attempt": res.Attempt, "fence": res.Fence, "ran": res.Ran,
		}, res.Value))
	}
	_, err = stdout.Write(res.Value)
	return err
}

// runOnce runs the command and returns its standard output. The output of a command that fails,
// and one that is too long, is printed, because it is no result.
func (f *onceFlags) runOnce(
	ctx context.Context, a *app, run *once.Run, argv []string,
) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	type read struct {
		value []byte
		err   error
	}
	all := make(chan read, 1)
	go func() {
		value, err := readOutput(r)
		all <- read{value, err}
	}()
	h := newHold("run", run, nil)
	h.stdout, h.env = w, []string{"HOLDFAST_ATTEMPT=" + strconv.Itoa(run.Attempt())}
	err = a.runCommand(ctx, h, &f.holdFlags, argv)
	_ = w.Close() // so that the reader sees the end of the output
	if err != nil {
		// Processes that the command has left may keep the pipe open.
		_ = r.SetReadDeadline(time.Now().Add(time.Second))
	}
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })()
	out := <-all
	switch {
	case err != nil:
	case out.err == nil:
		return out.value, nil
	case run.Err() != nil:
		err = lostf("the run was lost after the command had ended: %w", a.lossOf(h, &f.holdFlags))
	case ctx.Err() != nil: // a signal
		err = fmt.Errorf("a process that the command has left still writes its output: %w",
			context.Cause(ctx))
	default:
		err = out.err
	}
	if !a.json {
		_, _ = stdout.Write(out.value[:min(len(out.value), once.MaxResult)])
	}
	return nil, err
}

// readOutput reads the output of a command. If it is too long, readOutput reads the rest too,
// because the command would be ended by SIGPIPE otherwise.
func readOutput(r io.Reader) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, once.MaxResult+1))
	if err == nil && len(value) > once.MaxResult {
		if _, err = io.Copy(io.Discard, r); err == nil {
			err = fmt.Errorf("it has more than %d bytes, which is no result", once.MaxResult)
		}
	}
	if err != nil {
		return value, fmt.Errorf("the command's output: %w", err)
	}
	return value, nil
}

// failedElsewhere gives the failure of a command that another process ran the command's status.
func failedElsewhere(err error) error {
	failed, ok := errors.AsType[*once.FailedError](err)
	var here *childError
	if !ok || errors.As(err, &here) {
		return err
	}
	var status int
	if _, bad := fmt.Sscanf(failed.Text, childFailed, &status); bad != nil ||
		status < 1 || status > 255 {
		status = codeFailed
	}
	return &exitError{status, err}
}
