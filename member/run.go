package member

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// function is the function of [Run].
type function = func(context.Context, *session.Session) error

// run keeps the member until the membership ends or fn has returned.
func (m *Membership) run(fn function) (err error) {
	following, stop := context.WithCancel(m.ctx)
	followed := make(chan struct{})
	go func() { defer close(followed); m.key.follow(following) }()
	defer func() {
		m.end(err)
		stop()
		<-followed
		m.change(Away, m.Err(), Joined, Suspect)
		close(m.done)
	}()
	down := false
	for again := (line.Again{}); ; {
		began := time.Now()
		over, err := m.session(fn, &down)
		switch {
		case over:
			return err
		case m.ctx.Err() != nil:
			return m.Err()
		case final(err) || err != nil && !m.hasJoined():
			return err
		case err == nil && time.Since(began) > lasting:
			again = line.Again{}
		}
		if again.Wait(m.ctx) != nil {
			return m.Err()
		}
	}
}

// lasting is the life of a session after which the next one is opened at once.
const lasting = time.Minute

// session keeps the member during one session. over means that the membership has ended with err.
// Otherwise err is nil when the session was lost, and the reason for which there was none.
func (m *Membership) session(fn function, down *bool) (over bool, _ error) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	opened := m.probe(ctx, func() { cancel(errOutageOver) }, down)
	defer opened()
	err := session.Run(ctx, m.client, m.sessionOptions(),
		func(ctx context.Context, s *session.Session) error {
			opened()
			err := m.during(ctx, core.Of(s), func(ctx context.Context) error { return fn(ctx, s) })
			over = err == nil || s.Err() == nil
			if !over {
				return nil // the caller goes on
			}
			return err
		})
	if context.Cause(ctx) == errOutageOver { //nolint:errorlint // it is the cause itself
		return false, nil
	}
	return over, err
}

// sessionOptions returns the caller's options with hooks for the state.
func (m *Membership) sessionOptions() *session.Options {
	var o session.Options
	if m.opts.Session != nil {
		o = *m.opts.Session
	}
	hook := func(to State, from State, next func()) func() {
		return func() {
			m.change(to, nil, from)
			if next != nil {
				next()
			}
		}
	}
	o.Hooks.Suspect = hook(Suspect, Joined, o.Hooks.Suspect)
	o.Hooks.Recovered = hook(Joined, Suspect, o.Hooks.Recovered)
	return &o
}

// during keeps the key during a session, and calls fn when it is there.
func (m *Membership) during(
	ctx context.Context, s *core.Session, fn func(context.Context) error,
) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	there, kept := make(chan struct{}), make(chan error, 1)
	go func() {
		err := m.keep(ctx, s, sync.OnceFunc(func() { close(there) }))
		stop(err)
		kept <- err
	}()
	defer func() { // also if fn panics or ends its goroutine
		stop(nil)
		if ended := <-kept; !errors.Is(err, ended) { // fn often returns the cause of its context
			err = errors.Join(err, ended)
		}
		m.remove(ctx, s)
	}()
	select {
	case <-there:
		return fn(ctx)
	case <-ctx.Done():
		if m.ctx.Err() != nil || s.Err() != nil {
			return context.Cause(ctx)
		}
		return nil // the error of keep
	}
}

// remove removes the key at the end of the membership, before the session ends.
func (m *Membership) remove(ctx context.Context, s *core.Session) {
	if s.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace.Time)
	defer cancel()
	out, err := s.Write(ctx, core.Write{
		If: m.owned(s), Then: core.Deletion(m.Key())(), Compensation: m.deletion(s),
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && !out.Applied && !out.Repeated && !m.cutOff {
		err = core.ErrNotHeld
	}
	m.left = err
}

// owned returns compares that hold if the key is under the session's lease.
func (m *Membership) owned(s *core.Session) []gateway.Cmp {
	return []gateway.Cmp{gateway.CmpLease(m.Key(), gateway.Equal, s.Lease())}
}

// deletion deletes the key if it is under the session's lease, because it may be another member's.
func (m *Membership) deletion(s *core.Session) func() []gateway.Op {
	return func() []gateway.Op {
		return []gateway.Op{gateway.OpTxn(gateway.Txn{
			If: m.owned(s), Then: core.Deletion(m.Key())(),
		})}
	}
}
