package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/grace"
)

// Config is session.Options with the defaults filled in. Only hooks may be nil.
type Config struct {
	TTL          time.Duration
	Name         string
	ParentKey    string
	RecordPrefix string
	Logger       *slog.Logger
	Hooks        Hooks
	WaitingAfter time.Duration
}

// Session is documented at session.Session. It is safe for concurrent use.
type Session struct {
	c      *gateway.Client
	opt    Config
	lease  gateway.LeaseID
	record string
	info   Info
	value  []byte // of the record; no other process has the same

	incarnation string // see Incarnation
	born        int64  // the epoch at which it was resumed, or 0

	ctx    context.Context //nolint:containedctx // returned by Context
	cancel context.CancelCauseFunc

	epoch atomic.Int64 // mod_revision of the record, the highest known

	mu         sync.Mutex
	grant      gateway.LeaseGrant // of the answered ones, the one sent last
	timer      *time.Timer        // for the next change of state; see also ticking
	suspect    bool
	notices    notices
	ended      bool
	changed    chan struct{} // closed when suspect or ended changes
	unkeep     func()
	unwatch    func()
	slots      map[string][]bool
	locals     sync.Map        // see Local
	inherited  map[string]bool // keys that AdoptKeys has returned
	receipts   []*receipt
	unresolved unresolvedQueue
	scheduler  scheduler
	unwatched  unwatchedHolds
	bg         sync.WaitGroup // all goroutines; grows only while not ended

	closing chan struct{} // held by the one Close that revokes
	revoked bool          // nothing is left for Close to do; guarded by closing
}

// New is documented at session.New.
func New(ctx context.Context, c *gateway.Client, opt Config) (*Session, error) {
	s, err := prepare(c, gateway.NewLeaseID(), opt)
	if err != nil {
		return nil, err
	}
	if s.grant, err = c.Grant(ctx, s.lease, s.opt.TTL); err != nil {
		if errors.Is(err, gateway.ErrUncertain) {
			Discard(ctx, c, s.lease)
		}
		return nil, fmt.Errorf("session: new: %w", err)
	}
	s.value = encodeRecord(s.info, s.opt.TTL)
	epoch, err := createRecord(ctx, c, s.record, s.value, s.lease)
	if err != nil {
		Discard(ctx, c, s.lease)
		return nil, fmt.Errorf("session: new: record %s: %w", s.record, err)
	}
	s.begin(epoch, epoch)
	if err := s.Err(); err != nil { // New took longer than the time to live
		return nil, errors.Join(err, s.Close(ctx))
	}
	s.opt.Logger.Info("session_opened", "lease", s.lease, "ttl", s.opt.TTL)
	return s, nil
}

// prepare returns a session that has sent nothing yet.
func prepare(c *gateway.Client, lease gateway.LeaseID, opt Config) (*Session, error) {
	if c == nil {
		return nil, Invalid("no client")
	}
	return &Session{
		c: c, opt: opt, lease: lease, record: opt.RecordPrefix + lease.String(),
		info: newInfo(opt.Name, opt.ParentKey), incarnation: lease.String(),
		changed: make(chan struct{}), closing: make(chan struct{}, 1),
		slots: map[string][]bool{}, inherited: map[string]bool{},
	}, nil
}

// begin starts a session that has its lease and its record. created is the create_revision of the
// record, epoch the revision at which this process has put it.
func (s *Session) begin(created, epoch int64) {
	s.epoch.Store(epoch)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(0, s.tick)
	ticking.add(s)
	s.unkeep = s.c.KeepAlive(s.grant, s.renewed)
	record := &keyWatch{
		s: s, rev: created,
		gone: func() { s.end(ErrRevoked) },
		put:  func(kv gateway.KeyValue) { s.recordPut(kv) },
	}
	s.unwatch = record.start(s.record, epoch)
}

// discardTimeout bounds the revocation of a lease by a call that failed, whose context may have
// ended already.
const discardTimeout = 100 * time.Millisecond

// Discard revokes a lease, if it is not 0, that is of no use. If that fails, the lease expires.
func Discard(ctx context.Context, c *gateway.Client, lease gateway.LeaseID) {
	if lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	_ = c.Revoke(ctx, lease)
}

// Context is documented at session.Session.Context.
func (s *Session) Context() context.Context { return s.ctx }

// Lease is documented at session.Session.Lease.
func (s *Session) Lease() gateway.LeaseID { return s.lease }

// Client is documented at session.Session.Client.
func (s *Session) Client() *gateway.Client { return s.c }

// Deadline is documented at session.Session.Deadline.
func (s *Session) Deadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return deadline(s.grant)
}

// Err is documented at session.Session.Err.
func (s *Session) Err() error {
	s.mu.Lock()
	dead := !s.ended && s.grant.Age() >= trustWindow(s.grant.TTL)
	s.mu.Unlock()
	if dead {
		s.end(ErrExpired)
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return nil
}

// Ready waits while the session is suspect. It returns nil when a hold may be handed out, and the
// error of the session or of ctx when one of them has ended.
func (s *Session) Ready(ctx context.Context) error {
	for {
		if err := s.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		suspect, late, changed := s.suspect, s.late(), s.changed
		s.mu.Unlock()
		switch {
		case late && !suspect: // the timer is late; a recovery must close changed
			s.tick()
			continue
		case !suspect:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
	}
}

// late reports whether half the time to live has passed without an answer.
func (s *Session) late() bool { return s.grant.Age() >= s.grant.TTL/2 }

// renewed handles the answer to a renewal. Answers may arrive in any order; the answer to the
// newest send counts, even if it moves the deadline back.
func (s *Session) renewed(g gateway.LeaseGrant) {
	if g.TTL <= 0 {
		s.end(ErrRevoked)
		return
	}
	if s.Err() != nil {
		return // too late: a lost session stays lost
	}
	took := time.Since(g.Sent)
	s.mu.Lock()
	if !s.ended && g.Sent.After(s.grant.Sent) {
		s.grant = g
	}
	s.notices.renewed(took, s.opt.Hooks.Renewed != nil)
	s.notify()
	s.mu.Unlock()
	s.tick()
}

// tick updates the state from the clock, and sets the timer for the next change.
func (s *Session) tick() {
	if s.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	was := s.suspect
	s.suspect = s.late()
	next := trustWindow(s.grant.TTL)
	if !s.suspect {
		next = min(next, s.grant.TTL/2)
	}
	s.timer.Reset(next - s.grant.Age())
	if s.suspect != was {
		s.broadcast()
		s.notify()
	}
}

func (s *Session) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// end ends the session for ever, and reports whether this call did. It must not be called with mu
// held.
func (s *Session) end(cause error) bool {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return false
	}
	s.ended = true
	err := lost(cause)
	if !errors.Is(cause, ErrClosed) {
		// In a goroutine, because the caller may be the goroutine that all watches wait for.
		s.bg.Go(func() { s.notifyLost(err) })
	}
	s.timer.Stop()
	s.broadcast()
	unkeep, unwatch := s.unkeep, s.unwatch
	s.cancel(err) // before anything that takes time
	s.scheduler.end(err)
	s.mu.Unlock()
	ticking.remove(s)
	unkeep()
	unwatch()
	return true
}

// Background runs fn in a goroutine that ends with the session and that Close waits for. After the
// session has ended it does not run fn and returns false.
func (s *Session) Background(fn func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.bg.Go(func() { fn(s.ctx) })
	}
	return !s.ended
}

// Close is documented at session.Session.Close.
func (s *Session) Close(ctx context.Context) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	_ = s.Err() // reads the clock, because the session may have expired in a sleep of the machine
	alive := s.end(ErrClosed)
	s.bg.Wait()
	select {
	case s.closing <- struct{}{}:
		defer func() { <-s.closing }()
	case <-ctx.Done():
		return fmt.Errorf("session: close: %w", ctxerr.Of(ctx))
	}
	if s.revoked {
		return nil
	}
	if !alive {
		ours, err := s.deleteRecord(ctx)
		if err != nil {
			return fmt.Errorf("session: close: %w", err)
		}
		if s.revoked = !ours; s.revoked {
			return nil
		}
	}
	if err := s.c.Revoke(ctx, s.lease); err != nil && !errors.Is(err, gateway.ErrLeaseNotFound) {
		return fmt.Errorf("session: close: %w", err)
	}
	s.revoked = true
	s.opt.Logger.Info("session_closed", "lease", s.lease)
	return nil
}

// Orphan is documented at session.Session.Orphan.
func (s *Session) Orphan() {
	s.end(ErrClosed)
	s.bg.Wait()
	select {
	case s.closing <- struct{}{}:
		s.revoked = true
		<-s.closing
	default: // a Close is revoking the lease
	}
}
