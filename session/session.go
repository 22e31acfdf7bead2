package session

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Session is a lease that is kept alive, and the holds under it. [New], [Resume] and [Run] make it.
type Session struct{ core *core.Session }

func init() {
	core.Register(func(s core.Public) *core.Session {
		if s, ok := s.(*Session); ok && s != nil {
			return s.core
		}
		return nil
	}, brokenTarget)
}

// New grants a lease, writes the session's record and begins to renew the lease. The session lives
// until [Session.Close], or until it is lost. ctx bounds New alone. After an error there is no
// session; a lease that was granted is revoked, or expires.
func New(ctx context.Context, c *gateway.Client, opts *Options) (*Session, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	return public(core.New(ctx, c, config))
}

func public(s *core.Session, err error) (*Session, error) {
	if err != nil {
		return nil, err
	}
	return &Session{s}, nil
}

// Resume takes up a session whose process has ended without closing it, because it crashed, was
// killed, or called [Session.Orphan]. lease is the ID that [Session.Lease] returned in the earlier
// process; [gateway.ParseLeaseID] reads its String. Recipes can take up the holds of the earlier
// process, as election.Election.Resume does. The other holds last as long as the new session;
// [gateway.Client.TimeToLive] lists their keys.
//
// Resume returns [ErrLost] when the lease has ended or has no session record: call [New]. It
// returns [ErrLost] with [ErrResumedElsewhere] when another process resumes the session at the same
// moment. After any other error the earlier session is unchanged, except that after
// [gateway.ErrUncertain] it may have ended. Resume may be repeated. ctx bounds Resume alone.
//
// The earlier process must have ended, because two processes in one session have the same fences
// and guards. If it still runs, it cannot write in the session any more, and its session ends with
// [ErrResumedElsewhere] as soon as it notices. If it closes the session before that, the lease is
// revoked.
//
// Options.TTL is not used, because the lease keeps its time to live, which is in the record. The
// record of an earlier version does not have it; the session is then relied on for at most 1 s
// after each renewal. Options.RecordPrefix must be the same.
func Resume(
	ctx context.Context, c *gateway.Client, lease gateway.LeaseID, opts *Options,
) (*Session, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	return public(core.Resume(ctx, c, lease, config))
}

// Run calls fn with a session, and again with a new session each time fn returns an error after its
// session was lost, although fn may have done all its work. Otherwise it returns the error of fn,
// or the error of ctx. The context of fn ends with the session and with ctx; fn must return then,
// because Run waits for it. If fn panics, or ends its goroutine, Run closes the session and does
// not recover.
//
// Run tries again while etcd cannot be reached or its database is full. It returns errors that
// another try cannot change, such as wrong credentials.
func Run(
	ctx context.Context, c *gateway.Client, opts *Options,
	fn func(ctx context.Context, s *Session) error,
) error {
	config, err := opts.config()
	if err != nil {
		return err
	}
	return core.Run(ctx, c, config, func(ctx context.Context, s *core.Session) error {
		return fn(ctx, &Session{s})
	})
}

// Context ends when the session ends, with a cause that wraps [ErrLost].
func (s *Session) Context() context.Context { return s.core.Context() }

// Lease returns the ID of the session's lease.
func (s *Session) Lease() gateway.LeaseID { return s.core.Lease() }

// Client returns the client that the session was made with.
func (s *Session) Client() *gateway.Client { return s.core.Client() }

// Deadline returns the time at which the session ends unless another renewal is acknowledged
// before.
func (s *Session) Deadline() time.Time { return s.core.Deadline() }

// Err returns nil while the session lives, and the reason after it has ended. It reads the clock,
// so a late timer cannot make a dead session look alive.
func (s *Session) Err() error { return s.core.Err() }

// Txn applies a transaction at most once, and never after the session has ended at the server.
// Unlike [gateway.Client.Txn] it tries again after a lost answer, until it knows the outcome. After
// [gateway.ErrUncertain] the session makes sure in the background that no copy is applied later.
//
// A transaction may have four operations less than etcd allows, 124 by default. None of them may
// write the session's own keys. Responses is nil when an answer was lost and only the applied
// branch is known.
func (s *Session) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return s.core.Txn(ctx, t)
}

// SessionInfos reads the records of the sessions with these leases, also after s has ended. A
// session without a record, such as one of another library, is left out. Returns the error of a
// request that failed.
func (s *Session) SessionInfos(
	ctx context.Context, leases ...gateway.LeaseID,
) (map[gateway.LeaseID]Info, error) {
	found, err := s.core.SessionInfos(ctx, leases...)
	if err != nil {
		return nil, err
	}
	out := make(map[gateway.LeaseID]Info, len(found))
	for lease, info := range found {
		out[lease] = Info(info)
	}
	return out, nil
}

// Close ends the session: its context and the contexts of all holds end at once. Then it revokes
// the lease, which releases the holds for others; a lease that could not be revoked expires, and
// Close returns the error. If ctx had ended before the call, as the context of signal.NotifyContext
// has in a program that is asked to stop, Close has 1 s of its own.
//
// Close may be called again. After a loss it deletes the keys that the server still has, but not if
// another process has taken the session up by [Resume].
func (s *Session) Close(ctx context.Context) error { return s.core.Close(ctx) }

// Orphan ends the session without revoking its lease. Its keys stay until the time to live is over,
// so that another process can take them up by [Resume]. A Close after it does nothing.
func (s *Session) Orphan() { s.core.Orphan() }
