package session

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Session is a lease that is kept alive, and the holds under it. [New], [Resume] and [Run] make it. It is safe for
// concurrent use.
type Session struct{ core *core.Session }

func init() {
	core.Register(func(s core.Public) *core.Session {
		if s, ok := s.(*Session); ok && s != nil {
			return s.core
		}
		return nil
	})
}

// New grants a lease, writes the session's record and begins to renew the lease. The session lives until
// [Session.Close], or until it is lost. ctx bounds New alone.
//
// New returns an error that matches [gateway.ErrInvalid] for wrong options, and otherwise the error of etcd or of ctx. After
// an error there is no session; a lease that was granted is revoked, or expires.
func New(ctx context.Context, c *gateway.Client, opts *Options) (*Session, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	s, err := core.New(ctx, c, config)
	if err != nil {
		return nil, err
	}
	return &Session{s}, nil
}

// Resume takes up a session whose process has ended without closing it, because it crashed, was killed, or called
// [Session.Orphan]. The lease is the one that [Session.Lease] returned; the process must have kept it, in the form of its
// String, for example, which [gateway.ParseLeaseID] reads. The holds of the earlier process still exist under the lease.
// Recipes can take them up, as election.Election.Resume does. All others stay as long as the new session;
// [gateway.Client.TimeToLive] lists their keys.
//
// Resume returns [ErrLost] when the lease is gone, or has no session's record: call [New]. It returns [ErrLost] with
// [ErrResumedElsewhere] when another process resumes the session at the same moment. Any other error changes nothing, except
// that after [gateway.ErrUncertain] the session may have been taken from the earlier process. Resume may be repeated.
//
// The earlier process must have ended. Two processes in one session have the same fences and guards, so nothing can keep
// them apart. An earlier process that still runs cannot write in the session any more, and its session ends with
// [ErrResumedElsewhere] as soon as it notices. If it closes the session before, the lease is revoked.
//
// Options.TTL is not used: the lease keeps its time to live, which is in the record. The record of an earlier version does
// not have it; the session is then relied on for at most 1 s after each renewal. Options.RecordPrefix must be the same.
func Resume(ctx context.Context, c *gateway.Client, lease gateway.LeaseID, opts *Options) (*Session, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	s, err := core.Resume(ctx, c, lease, config)
	if err != nil {
		return nil, err
	}
	return &Session{s}, nil
}

// Run calls fn with a session, and again with a new session each time fn returns an error after its session was lost.
// Otherwise it returns the error that fn returned, or the error of ctx. The context of fn ends with the session; fn must
// return then, because Run waits for it. While etcd cannot be reached, or its database is full, Run tries again. It returns
// errors that another try cannot change, such as wrong credentials.
//
// If fn panics, or ends its goroutine, Run closes the session and does not recover.
//
// Run calls fn at least once for a job: fn may have finished when the session is found lost.
func Run(
	ctx context.Context, c *gateway.Client, opts *Options, fn func(ctx context.Context, s *Session) error,
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

// Deadline returns the time at which the session ends unless another renewal is acknowledged before.
func (s *Session) Deadline() time.Time { return s.core.Deadline() }

// Err returns nil while the session lives, and the reason after it has ended. It looks at the clock, so a late timer
// cannot make a dead session look alive.
func (s *Session) Err() error { return s.core.Err() }

// Txn applies a transaction at most once, and never after the session has ended at the server. After a lost answer it
// finds out what happened, unlike [gateway.Client.Txn]. It returns [gateway.ErrUncertain] when ctx ends first, and when the
// server leaves the outcome open although it answers, as with a full database ([gateway.ErrNoSpace]). Once the session has
// resolved that transaction, no copy of it is applied any more. It returns [ErrLost] when the session has ended.
//
// A transaction may have four operations less than etcd allows, 124 by default. None of them may write the session's own
// keys. Responses is nil when an answer was lost and only the branch that was applied is known.
func (s *Session) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return s.core.Txn(ctx, t)
}

// SessionInfos reads the records of the sessions with these leases. A session without a record, such as one of another
// library, is left out. It returns the error of etcd or of ctx.
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

// Close ends the session: its context and the contexts of all holds end at once. Then the lease is revoked, which releases
// the holds for others. ctx bounds the revocation; a lease that could not be revoked expires. If ctx has ended before the
// call, as the context of signal.NotifyContext has in a program that is asked to stop, Close has 1 s of its own.
//
// Close may be called again. After a loss it releases early the keys that the server still has, but not those of a session
// that another process has taken up by [Resume].
func (s *Session) Close(ctx context.Context) error { return s.core.Close(ctx) }

// Orphan ends the session without revoking its lease: its keys stay until the time to live is over, so that another
// process can take them up by [Resume]. A Close after it does nothing.
func (s *Session) Orphan() { s.core.Orphan() }
