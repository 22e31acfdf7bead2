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

// app is what all verbs share.
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
		Version:           version(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.connect.fromEnv(cmd.Flags()) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.json = a.json || asksJSON(os.Args[1:])
		return usagef("%w; type: %s --help%s", err, cmd.CommandPath(), dashHint(cmd))
	})
	root.Flags().Bool("version", false, "print the version")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, errors too")
	a.connect.add(root.PersistentFlags())
	root.AddCommand(
		lockCommand(a), semaphoreCommand(a), electCommand(a), leaderCommand(a), barrierCommand(a), latchCommand(a), queueCommand(a),
		lsCommand(a), infoCommand(a), breakCommand(a), doctorCommand(a),
	)
	plainUse(root)
	return root
}

// version is that of the module, or of the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// plainUse keeps use lines to what has to be typed.
func plainUse(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, c := range cmd.Commands() {
		plainUse(c)
	}
}

// dashHint reminds of the two dashes those verbs that take a command.
func dashHint(cmd *cobra.Command) string {
	if takesCommand(cmd) {
		return " (flags of the command to run come after --)"
	}
	return ""
}

// dial makes the client.
func (a *app) dial() (*gateway.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	// A short command-timeout ends in an error that says the same.
	a.log = &plainLog{warn: a.warn, muted: time.Duration(a.connect.timeout) <= 5*time.Second}
	c, err := a.connect.dial(a.log)
	if err != nil {
		return nil, err
	}
	a.client = c
	return c, nil
}

// open makes the client and a session, in place of one that was lost; f, which may be nil, says how long that may take if it is less than else.
func (a *app) open(ctx context.Context, f *waitFlags, opts *session.Options) (*session.Session, error) {
	if _, err := a.dial(); err != nil {
		return nil, err
	}
	if a.session != nil {
		a.session.Orphan() // nothing was held of it
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

// reach tells whether etcd answers.
func (a *app) reach(ctx context.Context) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	_, err := a.client.Get(ctx, session.DefaultRecordPrefix)
	return err
}

// bounded is for requests that wait for nobody but etcd.
func (a *app) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, time.Duration(a.connect.timeout))
}

func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &noAnswerError{limit})
}

// listing is for what takes many requests: it makes sure that etcd answers at all, and then gives it ten times as long.
func (a *app) listing(ctx context.Context) (context.Context, context.CancelFunc, error) {
	bctx, cancel := a.bounded(ctx)
	defer cancel()
	if _, err := a.client.Leases(bctx); err != nil && !errors.Is(err, gateway.ErrPermissionDenied) {
		return nil, nil, err
	}
	ctx, cancel = a.long(ctx, "a PREFIX, or ")
	return ctx, cancel, nil
}

// long is for what takes many requests; others is what can be typed besides.
func (a *app) long(ctx context.Context, others string) (context.Context, context.CancelFunc) {
	long := 10 * time.Duration(a.connect.timeout)
	return context.WithTimeoutCause(ctx, long, &exitError{
		codeUnavailable, fmt.Errorf("etcd has not told all within %v; type %sa longer --command-timeout", long, others),
	})
}

// after is for what has to be done after the context has ended.
func (a *app) after(ctx context.Context) (context.Context, context.CancelFunc) {
	return a.bounded(context.WithoutCancel(ctx))
}

// close gives back what the verb has left, and says what stays behind.
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

// warn tells what does not change the outcome.
func (a *app) warn(format string, args ...any) {
	if a.json {
		_ = printJSON(os.Stderr, map[string]any{"warning": fmt.Sprintf(format, args...)}) // nowhere is left to say so
		return
	}
	fmt.Fprintln(os.Stderr, "holdfast: "+clean(fmt.Sprintf(format, args...)))
}

// report prints the error and gives the status to exit with.
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
		_ = printJSON(os.Stderr, out) // the status tells
	} else {
		fmt.Fprintln(os.Stderr, "holdfast: "+clean(text))
	}
	return code
}

// explain says in one line what went wrong.
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

// reason is the innermost of what went wrong with an endpoint: the rest of the text says where, once more.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
