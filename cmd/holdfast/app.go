package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
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

// open makes the client and a session, which is named after the verb. It takes at most the
// command-timeout, or as long as f has left if that is less. f may be nil.
func (a *app) open(cmd *cobra.Command, f *waitFlags) (*session.Session, error) {
	opts := &session.Options{Name: cmd.CommandPath(), ParentKey: parentKey()}
	return a.openWith(cmd.Context(), f, opts)
}

// openWith is [app.open] with other options. The new session replaces one that was lost.
func (a *app) openWith(
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
		limit = f.answerLimit(limit)
	}
	ctx, cancel := answerWithin(ctx, limit)
	defer cancel()
	s, err := session.New(ctx, a.client, opts)
	if err != nil {
		return nil, err
	}
	a.session = s
	a.log.mute(false)
	return s, nil
}

// openQuiet is [app.open] for a verb that waits only for etcd. Its error reports an outage, so
// there are no warnings.
func (a *app) openQuiet(cmd *cobra.Command) (*session.Session, error) {
	s, err := a.open(cmd, nil)
	if err == nil {
		a.log.mute(true)
	}
	return s, err
}

// request runs fn, which waits only for etcd, with a session and within the command-timeout.
func (a *app) request(
	cmd *cobra.Command, fn func(context.Context, *session.Session) error,
) error {
	s, err := a.openQuiet(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := a.bounded(cmd.Context())
	defer cancel()
	return fn(ctx, s)
}

// ping returns nil if etcd answers within the command-timeout.
func (a *app) ping(ctx context.Context) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	_, err := a.client.Get(ctx, session.DefaultRecordPrefix)
	return err
}

// bounded returns a context for a request that waits only for etcd. It ends after the
// command-timeout.
func (a *app) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return answerWithin(ctx, time.Duration(a.connect.timeout))
}

func answerWithin(
	ctx context.Context, limit time.Duration,
) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &noAnswerError{limit})
}

// cleanUp returns a context for clean-up that continues after ctx has ended.
func (a *app) cleanUp(ctx context.Context) (context.Context, context.CancelFunc) {
	return a.bounded(context.WithoutCancel(ctx))
}

// long returns a context for a verb that sends many requests: ten times the command-timeout. Its
// error suggests a longer timeout, after others, the other remedies to type.
func (a *app) long(ctx context.Context, others string) (context.Context, context.CancelFunc) {
	long := 10 * time.Duration(a.connect.timeout)
	return context.WithTimeoutCause(ctx, long, &exitError{
		codeUnavailable,
		fmt.Errorf("etcd has not answered all requests within %v; type %sa longer "+
			"--command-timeout", long, others),
	})
}

// listing makes the client and returns a context for a verb that reads many names. It sends one
// request first, because a verb should fail early if etcd does not answer.
func (a *app) listing(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if _, err := a.dial(); err != nil {
		return nil, nil, err
	}
	if err := a.ping(ctx); err != nil && !errors.Is(err, gateway.ErrPermissionDenied) {
		return nil, nil, err
	}
	ctx, cancel := a.long(ctx, "a PREFIX, or ")
	return ctx, cancel, nil
}

// members reads the holders and waiters of all names that begin with the prefix.
func (a *app) members(ctx context.Context, prefix string) (*inspect.Snapshot, error) {
	user := inspect.User{Name: a.connect.user, Namespace: a.connect.namespace}
	return inspect.All(ctx, a.client, user, prefix)
}

// place reads one name.
func (a *app) place(ctx context.Context, name string) (*inspect.Place, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return inspect.One(ctx, c, name)
}

// close ends the session, with a warning if its lease remains, and closes the client.
func (a *app) close() {
	if a.log != nil {
		a.log.mute(true)
	}
	if a.session != nil {
		ctx, cancel := a.cleanUp(context.Background())
		defer cancel()
		if err := a.session.Close(ctx); err != nil {
			a.warn("the lease %s remains until it expires: %v", a.session.Lease(), err)
		}
	}
	if a.client != nil {
		_ = a.client.Close()
	}
}
