package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/internal/merge"
)

// Session is a lease that is kept alive, and what hangs on it. It is safe for concurrent use.
type Session struct {
	c      *gateway.Client
	opt    Config
	lease  gateway.LeaseID
	record string
	info   Info
	value  []byte // the record's value, which no other life has

	incarnation string // in its names: the lease, and the epoch that it began with if it was resumed
	born        int64  // the epoch that it began with if it was resumed

	ctx    context.Context //nolint:containedctx // the life of the session itself, handed out by Context
	cancel context.CancelCauseFunc

	epoch atomic.Int64 // mod_revision of the record, the highest known

	mu         sync.Mutex
	grant      gateway.LeaseGrant // the newest that was sent, of those that were answered
	timer      *time.Timer        // to the next change of state
	suspect    bool
	notices    notices
	ended      bool
	changed    chan struct{} // closed when suspect or ended changes
	unkeep     func()
	unwatch    func()
	slots      map[string][]bool
	inherited  map[string]bool // keys of earlier lives that were taken up
	receipts   []*receipt
	unresolved unresolvedQueue
	writer     writer
	unwatched  unwatchedHolds
	bg         sync.WaitGroup // settlers, senders and checks; grows only while not ended
	group      merge.Batcher[*groupedWrite]
	nest       int // so many groups; only where they are sent

	closing chan struct{} // held by the one Close that revokes
	revoked bool          // nothing is left for Close to do; under closing
}

// New makes a session: it grants a lease, writes the session's record and begins to renew. ctx bounds New alone; the
// session lives until [Session.Close], or until it is lost.
func New(ctx context.Context, c *gateway.Client, opt Config) (*Session, error) {
	s, err := prepare(c, gateway.NewLeaseID(), opt)
	if err != nil {
		return nil, err
	}
	if s.grant, err = c.Grant(ctx, s.lease, s.opt.TTL); err != nil {
		if errors.Is(err, gateway.ErrUncertain) {
			s.discard(ctx)
		}
		return nil, fmt.Errorf("session: new: %w", err)
	}
	s.value = encodeRecord(s.info, s.opt.TTL)
	epoch, err := createRecord(ctx, c, s.record, s.value, s.lease)
	if err != nil {
		s.discard(ctx)
		return nil, fmt.Errorf("session: new: record %s: %w", s.record, err)
	}
	s.begin(epoch, epoch)
	if err := s.Err(); err != nil { // New was slower than the lease is long
		return nil, errors.Join(err, s.Close(ctx))
	}
	s.opt.Logger.Info("session_opened", "lease", s.lease, "ttl", s.opt.TTL)
	return s, nil
}

// prepare makes a session that has done nothing yet.
func prepare(c *gateway.Client, lease gateway.LeaseID, opt Config) (*Session, error) {
	if c == nil {
		return nil, invalid("no client")
	}
	s := &Session{
		c: c, opt: opt, lease: lease, record: opt.RecordPrefix + lease.String(), info: newInfo(opt.Name, opt.ParentKey), incarnation: lease.String(),
		changed: make(chan struct{}), closing: make(chan struct{}, 1),
		slots: map[string][]bool{}, inherited: map[string]bool{},
	}
	s.group = merge.Batcher[*groupedWrite]{Owner: s, Pick: pickGroup, Send: s.sendGroup, OnAbandoned: s.abandonGrouped}
	return s, nil
}

// begin brings a session to life that has its lease, and its record: created there, and put last as its own.
func (s *Session) begin(created, epoch int64) {
	s.epoch.Store(epoch)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(0, s.tick)
	s.unkeep = s.c.KeepAlive(s.grant, s.renewed)
	s.unwatch = s.watchRecord(created, epoch)
}

// discardTimeout is how long New, having failed, tries to take its lease back. It may be past its context's end already.
const discardTimeout = 100 * time.Millisecond

// discard revokes the lease of a session that came to nothing; else it expires by itself.
func (s *Session) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	_ = s.c.Revoke(ctx, s.lease)
}

// Context ends when the session does, with a cause that wraps [ErrLost].
func (s *Session) Context() context.Context { return s.ctx }

// Lease is the session's lease.
func (s *Session) Lease() gateway.LeaseID { return s.lease }

// Client is the client that the session was made with.
func (s *Session) Client() *gateway.Client { return s.c }

// Deadline is when the session ends unless another renewal is acknowledged before.
func (s *Session) Deadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return deadline(s.grant)
}

// Err is nil while the session lives, and else why it ended. It looks at the clock itself, so that a late timer cannot
// make a dead session look alive.
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

// Ready waits while the session is suspect. It returns nil when a hold may be handed out, and else why not: the session
// has ended, or ctx has.
func (s *Session) Ready(ctx context.Context) error {
	for {
		if err := s.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		suspect, late, changed := s.suspect, s.late(), s.changed
		s.mu.Unlock()
		switch {
		case late && !suspect: // the timer is late: without this, nobody would be told of the way back
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

// late: half the time to live has gone by without an answer.
func (s *Session) late() bool { return s.grant.Age() >= s.grant.TTL/2 }

// renewed takes the answer to a renewal. Answers may come in any order; that to the newest send counts, even if it moves
// the deadline back.
func (s *Session) renewed(g gateway.LeaseGrant) {
	if g.TTL <= 0 {
		s.end(ErrRevoked)
		return
	}
	if s.Err() != nil {
		return // too late: what is lost stays lost
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

// tickEvery is how often the clock is looked at, at least: a timer stands still while the machine sleeps.
const tickEvery = time.Second

// tick brings the state up to date with the clock, and sets the timer to the next change.
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
	s.timer.Reset(min(next-s.grant.Age(), tickEvery))
	if s.suspect != was {
		s.broadcast()
		s.notify()
	}
}

func (s *Session) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// end ends the session, once and for ever, and tells whether it was this call that did. It must not be called with mu held.
func (s *Session) end(cause error) bool {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return false
	}
	s.ended = true
	err := lost(cause)
	if !errors.Is(cause, ErrClosed) {
		s.bg.Go(func() { s.notifyLost(err) }) // not here: this may be the goroutine that all watches wait for
	}
	s.timer.Stop()
	s.broadcast()
	unkeep, unwatch := s.unkeep, s.unwatch
	s.cancel(err) // before anything that takes time
	s.mu.Unlock()
	unkeep()
	unwatch()
	return true
}

// notifyLost reports a loss.
func (s *Session) notifyLost(err error) {
	if s.opt.Hooks.Lost != nil {
		s.opt.Hooks.Lost(err)
	}
	s.opt.Logger.Warn("session_lost", "lease", s.lease, "err", err)
}

// background runs fn in a goroutine that ends with the session and that Close waits for; not at all once it has ended.
func (s *Session) background(fn func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.bg.Go(func() { fn(s.ctx) })
	}
	return !s.ended
}

// Close ends the session: its context and those of all holds end at once, then the lease is revoked, which frees what
// they held for others. ctx bounds the revocation; what could not be revoked expires by itself. If ctx has ended before the
// call, as that of signal.NotifyContext has in a program that was told to stop, Close has 1 s of its own. Close may be
// called again, and after a loss, when it frees early what the server still keeps; but not what another process has taken
// up by [Resume].
func (s *Session) Close(ctx context.Context) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	_ = s.Err() // looks at the clock: a session that slept is not one that lived until now
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

// Orphan ends the session without revoking its lease: keys stay until the time to live is over, so that another process
// can take them up, see [Resume]. A Close after it does nothing.
func (s *Session) Orphan() {
	s.end(ErrClosed)
	s.bg.Wait()
	select {
	case s.closing <- struct{}{}:
		s.revoked = true
		<-s.closing
	default: // a Close is at it
	}
}
