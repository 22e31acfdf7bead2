package session

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
)

// unsettled is a write whose caller is gone.
type unsettled struct {
	undo []gateway.Op
	open bool // copies of it are out whose fate nobody knows
	done func()
	told settler
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
	var undo []gateway.Op
	switch {
	case w.Undo != nil:
		undo = w.Undo()
	case w.Key != "":
		undo = Deletion(w.Key)()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.unsettled = append(s.unsettled, unsettled{undo, open, w.Settled, w.settler})
	if !s.settling {
		s.settling = true
		s.bg.Go(func() { s.settleAll(s.ctx) })
	}
}

func (s *Session) settleAll(ctx context.Context) {
	pause := newBackoff()
	warned := false
	for {
		batch := s.takeUnsettled()
		if len(batch) == 0 {
			return
		}
		failed, err := s.settleTogether(ctx, batch)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			pause.Reset()
			continue
		}
		if !warned {
			warned = true
			s.opt.Logger.Warn("session_settle_failed", "lease", s.lease, "err", err)
		}
		s.mu.Lock()
		s.unsettled = append(s.unsettled, failed...)
		s.mu.Unlock()
		wait(ctx, pause.NextBackOff())
	}
}

// takeUnsettled gives what is to be settled next. Nothing means that the goroutine must end.
func (s *Session) takeUnsettled() []unsettled {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.unsettled), settleBatch)
	batch := s.unsettled[:n:n]
	s.unsettled = s.unsettled[n:]
	s.settling = n > 0
	return batch
}

// settleTogether settles a batch in one transaction, or else, as one of them may be refused, each in its own. It returns
// those that must be tried again.
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
	if err == nil {
		for _, u := range batch {
			own := out
			own.Responses, out.Responses = out.Responses[:len(u.undo)], out.Responses[len(u.undo):]
			if u.done != nil {
				u.done()
			}
			if u.told != nil {
				u.told.settle(own)
			}
		}
		return nil, nil
	}
	for i := range batch { // a copy of this very write may be out, and must be void before a key is used again
		batch[i].open = batch[i].open || open
	}
	switch {
	case ctx.Err() != nil:
		return batch, err
	case len(batch) == 1 && errors.Is(err, gateway.ErrInvalid): // it never will be
		return nil, err
	case len(batch) == 1:
		return batch, err
	}
	err = nil
	for i := range batch {
		again, e := s.settleTogether(ctx, batch[i:i+1])
		failed, err = append(failed, again...), errors.Join(err, e)
	}
	return failed, err
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
