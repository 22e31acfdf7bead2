package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-go/holdfast/gateway"
)

// unresolved is a write whose caller has returned.
type unresolved struct {
	undo    []gateway.Op
	lean    []gateway.Op // see Write
	rest    []gateway.Op // see Write.Fallback
	inDoubt bool         // copies of it may still be applied
	done    func()
	told    resolver
}

// unresolvedQueue has the writes to resolve, in the order in which they are tried. The session's mu
// guards it.
type unresolvedQueue struct {
	running bool          // a goroutine resolves them
	more    chan struct{} // wakes the goroutine when fresh grows
	fresh   []unresolved  // not tried yet
	single  []unresolved  // of transactions that were rejected: tried alone, to find those at fault
	refused []unresolved  // rejected alone: one of them is tried at a time, with pauses
	retry   time.Time     // when the next of refused is tried
	pause   *backoff.ExponentialBackOff
}

// Compensate applies the Compensation of a write in the background. The write was answered, or
// never sent; [Session.Write] itself compensates writes that were not answered. OnResolved is
// called after that. The session tries until it succeeds, or until the session ends.
func (s *Session) Compensate(w Write) { s.resolve(w, false) }

// resolve resolves a write in the background. If the write is in doubt, the transaction that
// applies its Compensation also changes the epoch, which makes all copies of the write void. One
// goroutine resolves all waiting writes, together.
func (s *Session) resolve(w Write, inDoubt bool) {
	u := unresolved{inDoubt: inDoubt && !w.Guarded, done: w.OnResolved, told: w.resolver}
	switch {
	case w.Compensation != nil:
		u.undo = w.Compensation()
	case w.Key != "":
		u.undo = Deletion(w.Key)()
	}
	if w.Lean != nil {
		u.lean = w.Lean()
	} else if !puts(u.undo) {
		u.lean = u.undo
	}
	if w.Fallback != nil {
		u.rest = w.Fallback()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	q := &s.unresolved
	q.fresh = append(q.fresh, u)
	if !q.running {
		q.running, q.more, q.pause = true, make(chan struct{}, 1), newBackoff()
		s.bg.Go(func() { s.resolveAll(s.ctx) })
	}
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// resolveAll runs until no write is left. A rejected write does not delay the others, because the
// writes of a transaction that the server rejected are sent again alone. One of those at fault is
// tried at a time, in the end once a second. When one of them is accepted, all are tried again,
// because the reason may be gone for all.
func (s *Session) resolveAll(ctx context.Context) {
	warned := false
	for {
		batch, again, idle := s.takeUnresolved()
		switch {
		case len(batch) == 0 && idle < 0:
			return
		case len(batch) == 0:
			s.awaitUnresolved(ctx, idle)
		default:
			failed, err := s.resolveTogether(ctx, batch)
			if err != nil && ctx.Err() == nil && !warned {
				warned = true
				s.opt.Logger.Warn("session_settle_failed", "lease", s.lease, "err", err)
			}
			s.sortUnresolved(failed, err, again)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// takeUnresolved returns the writes to resolve next; again reports that they were rejected before.
// If batch is empty, idle is the time until the next try. idle is negative if no write is left: the
// goroutine must end then.
func (s *Session) takeUnresolved() (batch []unresolved, again bool, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.unresolved
	switch {
	case len(q.fresh) > 0:
		n := together(q.fresh)
		batch, q.fresh = q.fresh[:n:n], q.fresh[n:]
		return batch, false, 0
	case len(q.single) > 0:
		batch, q.single = q.single[:1:1], q.single[1:]
		return batch, false, 0
	case len(q.refused) == 0:
		q.running = false
		return nil, false, -1
	}
	if idle = time.Until(q.retry); idle > 0 {
		return nil, false, idle
	}
	batch, q.refused = q.refused[:1:1], q.refused[1:]
	return batch, true, 0
}

// together returns the number of writes at the front that fit in one transaction, at least one.
func together(all []unresolved) (n int) {
	for ops := 0; n < len(all); n++ {
		ops += max(len(all[n].undo), len(all[n].lean))
		if ops > MaxOps && n > 0 {
			break
		}
	}
	return n
}

// awaitUnresolved waits for the next try, or for a new write.
func (s *Session) awaitUnresolved(ctx context.Context, idle time.Duration) {
	t := time.NewTimer(idle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.unresolved.more:
	case <-ctx.Done():
	}
}

// sortUnresolved puts writes that failed back into the queue.
func (s *Session) sortUnresolved(failed []unresolved, err error, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.unresolved
	switch n := len(failed); {
	case n == 0 && again: // the others may succeed now, too
		q.pause.Reset()
		q.fresh, q.refused = append(q.fresh, q.refused...), nil
	case n > 1 && !errors.Is(err, gateway.ErrNoSpace):
		q.single = append(q.single, failed...)
	case n > 0:
		q.refused = append(q.refused, failed...)
		if now := time.Now(); again || q.retry.Before(now) {
			q.retry = now.Add(q.pause.NextBackOff())
		}
	}
}

// resolveTogether resolves a batch in one transaction. It returns the writes that must be tried
// again, and the error. While the database is full, these are the writes that cannot be resolved
// then; their Lean has been applied.
func (s *Session) resolveTogether(
	ctx context.Context, batch []unresolved,
) (failed []unresolved, err error) {
	var w Write
	inDoubt := false
	for _, u := range batch {
		w.Then = append(w.Then, u.undo...)
		inDoubt = inDoubt || u.inDoubt
	}
	var out Outcome
	if inDoubt || len(w.Then) > 0 {
		out, inDoubt, err = s.sendUntilAnswered(ctx, w, inDoubt)
	}
	switch {
	case err == nil && !inDoubt:
		for _, u := range batch {
			u.resolved(take(&out, len(u.undo)))
		}
		return nil, nil
	case err == nil: // applied, but the epoch could not change
		return relieve(batch, out), errFull
	case errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil:
		return s.resolveLean(ctx, markInDoubt(batch, inDoubt), err)
	case len(batch) == 1 && len(batch[0].rest) > 0 && permanent(err) && ctx.Err() == nil:
		return s.fallBack(ctx, batch, err)
	case len(batch) == 1 && errors.Is(err, gateway.ErrInvalid) && ctx.Err() == nil:
		return nil, err // another try cannot help
	}
	return markInDoubt(batch, inDoubt), err
}

// permanent reports that etcd will reject the same write again while the session lives.
func permanent(err error) bool {
	return errors.Is(err, gateway.ErrInvalid) || errors.Is(err, gateway.ErrLeaseNotFound)
}

// fallBack applies the Fallback of a write whose Compensation etcd rejects for good.
func (s *Session) fallBack(
	ctx context.Context, batch []unresolved, rejected error,
) (failed []unresolved, err error) {
	_, inDoubt, err := s.sendUntilAnswered(ctx, Write{Then: batch[0].rest}, false)
	if err != nil {
		return markInDoubt(batch, inDoubt), err
	}
	batch[0].told.fellBack()
	return nil, rejected
}

var errFull = fmt.Errorf("the epoch: %w", gateway.ErrNoSpace)

// resolveLean applies the Lean of each write while the database is full.
func (s *Session) resolveLean(
	ctx context.Context, batch []unresolved, full error,
) (failed []unresolved, err error) {
	var w Write
	for _, u := range batch {
		w.Then = append(w.Then, u.lean...)
	}
	if len(w.Then) == 0 {
		return relieve(batch, Outcome{}), full
	}
	out, inDoubt, err := s.sendUntilAnswered(ctx, w, false)
	if batch = markInDoubt(batch, inDoubt); err != nil {
		return batch, err
	}
	return relieve(batch, out), full
}

// relieve returns the writes that are not resolved yet. out is the answer to the Lean of all.
func relieve(batch []unresolved, out Outcome) (rest []unresolved) {
	for _, u := range batch {
		own := take(&out, len(u.lean))
		if len(u.lean) > 0 && !u.inDoubt {
			u.resolved(own)
			continue
		}
		if u.told != nil {
			u.told.blockedFull(len(u.lean) > 0)
		}
		rest = append(rest, u)
	}
	return rest
}

// markInDoubt notes that a copy of a write for all of batch may still be applied, and must be void
// before a key is reused.
func markInDoubt(batch []unresolved, inDoubt bool) []unresolved {
	for i := range batch {
		batch[i].inDoubt = batch[i].inDoubt || inDoubt
	}
	return batch
}

// take removes the next n responses from out, and returns them.
func take(out *Outcome, n int) (own Outcome) {
	own = *out
	own.Responses, out.Responses = out.Responses[:n], out.Responses[n:]
	return own
}

func (u *unresolved) resolved(out Outcome) {
	if u.done != nil {
		u.done()
	}
	if u.told != nil {
		u.told.resolve(out)
	}
}

// guardedWrite returns a Guarded write. The first of ops deletes the key that own compares.
func guardedWrite(own gateway.Cmp, ops []gateway.Op) Write {
	conds := []gateway.Cmp{own}
	return Write{If: conds, Then: ops, Guarded: true, Compensation: onlyIf(conds, ops...)}
}

// onlyIf is a Compensation of a [Write] that applies ops if the compares hold.
func onlyIf(conds []gateway.Cmp, ops ...gateway.Op) func() []gateway.Op {
	return func() []gateway.Op {
		return []gateway.Op{gateway.OpTxn(gateway.Txn{If: conds, Then: ops})}
	}
}

// Deletion is a Compensation of a [Write] that deletes keys.
func Deletion(keys ...string) func() []gateway.Op {
	return func() (ops []gateway.Op) {
		for _, key := range keys {
			ops = append(ops, gateway.OpDelete(key))
		}
		return ops
	}
}
