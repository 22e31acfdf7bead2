package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// app holds the state that all verbs share.
type app struct {
	json    bool
	connect connectFlags
	sigs    *signals

	client  *gateway.Client
	log     *plainLog
	session *session.Session
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Locks, elections, semaphores, barriers and queues on etcd",
		Long: "Locks, elections, semaphores, barriers and queues on etcd, for shells and for those who look after them.\n\n" +
			"Exit status: 0 done; 1 no: not acquired (or what -E says), nobody there, nothing found; 64 wrong usage;\n" +
			"69 etcd cannot be reached; 75 the hold was lost while the command ran; 77 not permitted; 126 and 127 the command\n" +
			"cannot be run, or does not exist; 70 anything else. A command's own status is passed through, 128+n if signal n\n" +
			"has ended it.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("no verb given; type: holdfast lock NAME -- COMMAND, or holdfast --help")
		},
		Version: version(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.connect.fromEnv(cmd.Flags())
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.json = a.json || asksJSON(os.Args[1:])
		return usagef("%w; type: %s --help%s", err, cmd.CommandPath(), dashHint(cmd))
	})
	root.Flags().Bool("version", false, "print the version")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, errors too")
	a.connect.add(root.PersistentFlags())
	root.AddCommand(
		lockCommand(a), semaphoreCommand(a), electCommand(a), leaderCommand(a), barrierCommand(a),
		latchCommand(a), queueCommand(a),
		lsCommand(a), infoCommand(a), breakCommand(a), doctorCommand(a),
	)
	plainUse(root)
	return root
}

// version returns the version of the module, which names the commit if the program was built from
// one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// plainUse removes "[flags]" from the use lines, so that they show only the words to type.
func plainUse(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, c := range cmd.Commands() {
		plainUse(c)
	}
}

// dashHint returns a reminder of the two dashes for verbs that take a command, else "".
func dashHint(cmd *cobra.Command) string {
	if takesCommand(cmd) {
		return " (flags of the command to run come after --)"
	}
	return ""
}

// dial makes the client at the first call.
func (a *app) dial() (*gateway.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	// With a short command-timeout, the warnings would only repeat the error at its end.
	a.log = &plainLog{warn: a.warn, muted: time.Duration(a.connect.timeout) <= 5*time.Second}
	c, err := a.connect.dial(a.log)
	if err != nil {
		return nil, err
	}
	a.client = c
	return c, nil
}

// open makes the client and a session, which replaces one that was lost. It takes at most the
// command-timeout, or as long as f has left if that is less. f may be nil.
func (a *app) open(
	ctx context.Context, f *waitFlags, opts *session.Options,
) (*session.Session, error) {
	if _, err := a.dial(); err != nil {
		return nil, err
	}
	if a.session != nil {
		a.session.Orphan() // the session held nothing
		a.session = nil
	}
	limit := time.Duration(a.connect.timeout)
	if f != nil {
		limit = f.reach(limit)
	}
	ctx, cancel := within(ctx, limit)
	defer cancel()
	s, err := session.New(ctx, a.client, opts)
	if err != nil {
		return nil, err
	}
	a.session = s
	a.log.mute(false)
	return s, nil
}

// reach returns nil if etcd answers within the command-timeout.
func (a *app) reach(ctx context.Context) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	_, err := a.client.Get(ctx, session.DefaultRecordPrefix)
	return err
}

// bounded returns a context for a request that waits only for etcd. It ends after the
// command-timeout.
func (a *app) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, time.Duration(a.connect.timeout))
}

func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &noAnswerError{limit})
}

// listing returns a context for a verb that sends many requests: ten times the command-timeout. It
// sends one request first, because a verb should fail early if etcd does not answer.
func (a *app) listing(ctx context.Context) (context.Context, context.CancelFunc, error) {
	bctx, cancel := a.bounded(ctx)
	defer cancel()
	if _, err := a.client.Leases(bctx); err != nil && !errors.Is(err, gateway.ErrPermissionDenied) {
		return nil, nil, err
	}
	ctx, cancel = a.long(ctx, "a PREFIX, or ")
	return ctx, cancel, nil
}

// long returns a context of ten times the command-timeout. Its error suggests a longer timeout,
// after others, the other remedies to type.
func (a *app) long(ctx context.Context, others string) (context.Context, context.CancelFunc) {
	long := 10 * time.Duration(a.connect.timeout)
	return context.WithTimeoutCause(ctx, long, &exitError{
		codeUnavailable,
		fmt.Errorf("etcd has not told all within %v; type %sa longer --command-timeout",
			long, others),
	})
}

// after returns a context for clean-up that continues after ctx has ended.
func (a *app) after(ctx context.Context) (context.Context, context.CancelFunc) {
	return a.bounded(context.WithoutCancel(ctx))
}

// close ends the session, with a warning if its lease remains, and closes the client.
func (a *app) close() {
	if a.log != nil {
		a.log.mute(true)
	}
	if a.session != nil {
		ctx, cancel := a.after(context.Background())
		defer cancel()
		if err := a.session.Close(ctx); err != nil {
			a.warn("the lease %s stays until it runs out: %v", a.session.Lease(), err)
		}
	}
	if a.client != nil {
		_ = a.client.Close()
	}
}

// warn prints a message that does not change the exit status.
func (a *app) warn(format string, args ...any) {
	if a.json {
		// An error here has nowhere to be reported.
		_ = printJSON(os.Stderr, map[string]any{"warning": fmt.Sprintf(format, args...)})
		return
	}
	fmt.Fprintln(os.Stderr, "holdfast: "+clean(fmt.Sprintf(format, args...)))
}

// report prints the error and returns the exit status.
func (a *app) report(err error) int {
	code := codeOf(err)
	var quiet *childError
	if err == nil || errors.As(err, &quiet) || unread(err) {
		return code
	}
	text := a.explain(err)
	out := map[string]any{"error": text, "code": code}
	if part, ok := errors.AsType[*partError](err); ok {
		out["put"] = part.put
		if !strings.HasSuffix(text, part.note()) {
			text += part.note()
		}
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		out["holders"] = refused.holders
	}
	if a.json {
		out["error"] = text
		_ = printJSON(os.Stderr, out) // the exit status still reports the error
	} else {
		fmt.Fprintln(os.Stderr, "holdfast: "+clean(text))
	}
	return code
}

// explain returns the error's text on one line, with the endpoints that were tried.
func (a *app) explain(err error) string {
	late, ok := errors.AsType[*noAnswerError](err)
	if !ok || a.client == nil {
		return err.Error()
	}
	var tried []string
	for _, ep := range a.client.Endpoints() {
		text := ep.URL
		if ep.Err != nil {
			text += " (" + reason(ep.Err) + ")"
		}
		tried = append(tried, text)
	}
	return fmt.Sprintf("cannot reach etcd within %v at %s", late.limit, strings.Join(tried, ", "))
}

// reason returns the text of the innermost error, because the outer ones repeat the endpoint.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
