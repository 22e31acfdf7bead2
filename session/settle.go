package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-go/holdfast/gateway"
)

// unsettled is a write whose caller is gone.
type unsettled struct {
	undo []gateway.Op
	lean []gateway.Op // see Write
	open bool         // copies of it are out whose fate nobody knows
	done func()
	told settler
}

// unsettledQueue is what is to be settled, in the order in which it is tried. It is under the session's mu.
type unsettledQueue struct {
	running bool          // a goroutine works on it
	more    chan struct{} // wakes the goroutine when there is something new
	fresh   []unsettled   // has not been tried
	halves  [][]unsettled // of transactions that were refused: some of them are to blame
	refused []unsettled   // by themselves: one of them is tried at a time, with pauses
	retry   time.Time     // when that may be
	pause   *backoff.ExponentialBackOff
}

// settleBatch bounds how many are settled in one transaction. Each has one operation, or few.
const settleBatch = 40

// Settle applies the Undo of a write in the background: of one that was answered, or never sent. [Session.Write] does so
// itself for those that were not answered. Settled is called when that has worked. It is tried until then, or until the
// session ends.
func (s *Session) Settle(w Write) { s.settle(w, false) }

// settle clears up in the background behind a write. If it is open, the epoch is moved, which makes all copies of it void,
// and Undo applied in the same transaction. One goroutine settles all that is waiting, together.
func (s *Session) settle(w Write, open bool) {
	u := unsettled{open: open && !w.Guarded, done: w.Settled, told: w.settler}
	switch {
	case w.Undo != nil:
		u.undo = w.Undo()
	case w.Key != "":
		u.undo = Deletion(w.Key)()
	}
	if w.Lean != nil {
		u.lean = w.Lean()
	} else if !puts(u.undo) {
		u.lean = u.undo
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	q := &s.unsettled
	q.fresh = append(q.fresh, u)
	if !q.running {
		q.running, q.more, q.pause = true, make(chan struct{}, 1), newBackoff()
		s.bg.Go(func() { s.settleAll(s.ctx) })
	}
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// settleAll works until nothing is left. What the server refuses does not keep back what comes after it: a transaction that
// was refused is halved until those are alone who are to blame, and of these one is tried at a time, once a second in the
// end. When one of them is taken, the reason may have gone for all.
func (s *Session) settleAll(ctx context.Context) {
	warned := false
	for {
		batch, again, idle := s.takeUnsettled()
		switch {
		case len(batch) == 0 && idle < 0:
			return
		case len(batch) == 0:
			s.awaitUnsettled(ctx, idle)
		default:
			failed, err := s.settleTogether(ctx, batch)
			if err != nil && ctx.Err() == nil && !warned {
				warned = true
				s.opt.Logger.Warn("session_settle_failed", "lease", s.lease, "err", err)
			}
			s.sortUnsettled(failed, err, again)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// takeUnsettled gives what is to be settled next; again says that it was refused before. Without any, idle is how long to
// wait for it, and less than 0 if there is none, and the goroutine must end.
func (s *Session) takeUnsettled() (batch []unsettled, again bool, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.unsettled
	switch n := min(len(q.fresh), settleBatch); {
	case n > 0:
		batch, q.fresh = q.fresh[:n:n], q.fresh[n:]
		return batch, false, 0
	case len(q.halves) > 0:
		batch, q.halves = q.halves[0], q.halves[1:]
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

// awaitUnsettled waits until there is something to settle.
func (s *Session) awaitUnsettled(ctx context.Context, idle time.Duration) {
	t := time.NewTimer(idle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.unsettled.more:
	case <-ctx.Done():
	}
}

// sortUnsettled puts back what has failed.
func (s *Session) sortUnsettled(failed []unsettled, err error, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.unsettled
	switch n := len(failed); {
	case n == 0 && again: // the others may be taken, too, now
		q.pause.Reset()
		for ; len(q.refused) > 0; q.refused = q.refused[min(len(q.refused), settleBatch):] {
			k := min(len(q.refused), settleBatch)
			q.halves = append(q.halves, q.refused[:k:k])
		}
	case n > 1 && !errors.Is(err, gateway.ErrNoSpace):
		q.halves = append(q.halves, failed[:n/2:n/2], failed[n/2:])
	case n > 0:
		q.refused = append(q.refused, failed...)
		if now := time.Now(); again || q.retry.Before(now) {
			q.retry = now.Add(q.pause.NextBackOff())
		}
	}
}

// settleTogether settles a batch in one transaction. It returns those that must be tried again, and why. While the database
// is full they are those that cannot be settled then; their Lean has been applied.
func (s *Session) settleTogether(ctx context.Context, batch []unsettled) (failed []unsettled, err error) {
	var w Write
	open := false
	for _, u := range batch {
		w.Then = append(w.Then, u.undo...)
		open = open || u.open
	}
	var out Outcome
	if open || len(w.Then) > 0 {
		out, open, err = s.write(ctx, w, open)
	}
	switch {
	case err == nil && !open:
		for _, u := range batch {
			u.settled(take(&out, len(u.undo)))
		}
		return nil, nil
	case err == nil: // it puts nothing
		return relieve(batch, out), errFull
	case errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil:
		return s.settleLean(ctx, markOpen(batch, open), err)
	case len(batch) == 1 && errors.Is(err, gateway.ErrInvalid) && ctx.Err() == nil: // it never will be
		return nil, err
	}
	return markOpen(batch, open), err
}

var errFull = fmt.Errorf("the epoch: %w", gateway.ErrNoSpace)

// settleLean applies what can be applied while the database is full.
func (s *Session) settleLean(ctx context.Context, batch []unsettled, full error) (failed []unsettled, err error) {
	var w Write
	for _, u := range batch {
		w.Then = append(w.Then, u.lean...)
	}
	if len(w.Then) == 0 {
		return relieve(batch, Outcome{}), full
	}
	out, open, err := s.write(ctx, w, false)
	if batch = markOpen(batch, open); err != nil {
		return batch, err
	}
	return relieve(batch, out), full
}

// relieve returns those that are not settled yet, although out is the answer to the Lean of all.
func relieve(batch []unsettled, out Outcome) (rest []unsettled) {
	for _, u := range batch {
		own := take(&out, len(u.lean))
		if len(u.lean) > 0 && !u.open {
			u.settled(own)
			continue
		}
		if u.told != nil {
			u.told.blocked(len(u.lean) > 0)
		}
		rest = append(rest, u)
	}
	return rest
}

// markOpen notes that a copy of a write for all of them may be out, and must be void before a key is used again.
func markOpen(batch []unsettled, open bool) []unsettled {
	for i := range batch {
		batch[i].open = batch[i].open || open
	}
	return batch
}

// take takes the next n answers.
func take(out *Outcome, n int) (own Outcome) {
	own = *out
	own.Responses, out.Responses = out.Responses[:n], out.Responses[n:]
	return own
}

func (u *unsettled) settled(out Outcome) {
	if u.done != nil {
		u.done()
	}
	if u.told != nil {
		u.told.settle(out)
	}
}

// Deletion is an Undo of a [Write] that deletes keys.
func Deletion(keys ...string) func() []gateway.Op {
	return func() (ops []gateway.Op) {
		for _, key := range keys {
			ops = append(ops, gateway.OpDelete(key))
		}
		return ops
	}
}
