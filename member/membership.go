package member

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/session"
)

// Membership is a member that this process keeps in a group. It is not a hold, because it outlives
// its sessions: take locks where only one process may act.
type Membership struct {
	client *gateway.Client
	group  string
	opts   Options
	key    *ownKey
	wake   chan struct{} // receives when the key, or the record that it should have, has changed
	joined chan struct{} // closed when the member has joined for the first time
	once   sync.Once     // of the close
	done   chan struct{} // closed when nothing of the membership runs any more

	ctx context.Context //nolint:containedctx // returned by Context
	end context.CancelCauseFunc

	mu      sync.Mutex
	want    record // the record that the key should have
	seq     int64  // the number of changes of want
	shown   int64  // the number of these that the key has
	changed chan struct{}
	fence   int64 // of the key; 0 before the first join
	state   State
	changes []change
	left    error // the result of Leave
	cutOff  bool  // the last put was: the session deletes the key, if that was put
}

// Join adds a member to a group and keeps it there until ctx ends or [Membership.Leave]. It returns
// when the member has joined; it tries again while etcd cannot be reached or its database is full.
// When ctx ends, the member leaves the group as by Leave, in the background.
//
// Returns [ErrTaken] when another member has the ID, with a [*TakenError] that names it,
// [session.ErrCorrupt] when the key has a value of another program, ctx's error when ctx ends
// first, and errors that another try cannot change, such as [gateway.ErrPermissionDenied]. After an
// error there is no member.
//
// After the first join no error ends the membership, except [ErrReplaced] and, when the client was
// closed, [gateway.ErrClosed]. When another member has taken the ID during an outage that was
// longer than the lease, the member is away until the other one leaves.
func Join(
	ctx context.Context, c *gateway.Client, group string, opts *Options,
) (*Membership, error) {
	m, err := newMembership(ctx, c, group, opts)
	if err != nil {
		return nil, wrap("join", group, err)
	}
	failed := make(chan error, 1)
	go func() { //nolint:contextcheck // the membership has a context from ctx
		failed <- m.run(func(ctx context.Context, _ *session.Session) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	select {
	case <-m.joined:
		return m, nil
	case err = <-failed:
	case <-ctx.Done():
		err = ctxerr.Of(ctx)
	}
	return nil, wrap("join", group, err)
}

// Run keeps a member in a group as [Join] does, and calls fn each time the member has joined with
// another session. The context of fn ends with ctx, with the session, and when the membership ends;
// fn must return then, because Run waits for it. The holds that fn acquires in the session end when
// the member is lost. When the key alone is deleted, the member returns and fn goes on.
//
// When fn returns while its session lives, the member leaves, and Run returns the error of fn. When
// ctx ends, the member leaves after fn has returned. Run returns the errors of Join, [ErrReplaced]
// when another member has taken over, and [session.ErrReleased] after [Membership.Leave].
func Run(
	ctx context.Context, c *gateway.Client, group string, opts *Options,
	fn func(ctx context.Context, s *session.Session, m *Membership) error,
) error {
	m, err := newMembership(ctx, c, group, opts)
	if err == nil {
		each := func(ctx context.Context, s *session.Session) error { return fn(ctx, s, m) }
		err = m.run(each) //nolint:contextcheck // the membership has a context from ctx
	}
	return wrap("run", group, err)
}

func newMembership(
	ctx context.Context, c *gateway.Client, group string, opts *Options,
) (*Membership, error) {
	m := &Membership{
		client: c, group: group, wake: make(chan struct{}, 1),
		joined: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{}),
		left: session.ErrNotHeld,
	}
	if opts != nil {
		m.opts = *opts
	}
	if m.opts.ID == "" {
		m.opts.ID = rand.Text()
	}
	if m.opts.Weight == 0 {
		m.opts.Weight = 1
	}
	if c == nil {
		return nil, invalid("no client")
	}
	if err := errors.Join(checkGroup(group), m.opts.check()); err != nil {
		return nil, err
	}
	m.want = record{rand.Text(), m.opts.Weight, m.opts.Zone, m.opts.Value}
	m.key = newOwnKey(c, m.Key(), m.wake)
	m.ctx, m.end = context.WithCancelCause(ctx)
	return m, nil
}

// ID returns the member's ID.
func (m *Membership) ID() string { return m.opts.ID }

// Key returns the member's key in etcd.
func (m *Membership) Key() string { return KeyOf(m.group, m.opts.ID) }

// State returns the state of the member.
func (m *Membership) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// Context ends when the membership has ended for good. It outlives the sessions.
func (m *Membership) Context() context.Context { return m.ctx }

// Err returns nil until the membership has ended for good, and then the reason: the error of the
// context of [Join], [ErrReplaced], [gateway.ErrClosed], or [session.ErrReleased] after
// [Membership.Leave].
func (m *Membership) Err() error { return context.Cause(m.ctx) }

// Update shows another value to observers, and returns when etcd has it. The value counts from now
// on: a member that is away returns with it. When ctx ends first, Update returns
// [gateway.ErrUncertain], and the value is shown when that is possible. Returns
// [session.ErrNotHeld] when the membership has ended.
func (m *Membership) Update(ctx context.Context, value string) error {
	err := checkValue(value)
	if err == nil {
		err = m.set(ctx, func(r *record) { r.value = value })
	}
	return wrap("update", m.group, err)
}

// SetWeight changes the weight as [Membership.Update] changes the value, and returns the same
// errors. A member with the weight 0 stays in the group, but gets no work; package shard hands its
// shards over to others.
func (m *Membership) SetWeight(ctx context.Context, weight int) error {
	err := checkWeight(weight)
	if err == nil {
		err = m.set(ctx, func(r *record) { r.Weight = weight })
	}
	return wrap("set weight", m.group, err)
}

// set changes the record and waits until the key has it.
func (m *Membership) set(ctx context.Context, change func(*record)) error {
	m.mu.Lock()
	change(&m.want)
	m.seq++
	seq := m.seq
	m.mu.Unlock()
	signal(m.wake)
	for {
		m.mu.Lock()
		shown, changed := m.shown, m.changed
		m.mu.Unlock()
		if shown >= seq {
			return nil
		}
		select {
		case <-changed:
		case <-m.ctx.Done():
			return fmt.Errorf("%w: %w", session.ErrNotHeld, m.Err())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", gateway.ErrUncertain, ctxerr.Of(ctx))
		}
	}
}

// Leave ends the membership and removes the member from the group. Returns [session.ErrNotHeld]
// when the membership had ended before, or the member is away; its key is then deleted at the end
// of its lease at the latest. When ctx ends first, Leave returns [gateway.ErrUncertain], and the
// removal goes on in the background; another call waits for it. Leave waits for the function of
// [Run], which must not call it.
func (m *Membership) Leave(ctx context.Context) error {
	m.end(session.ErrReleased)
	select {
	case <-m.done:
	case <-ctx.Done():
		return wrap("leave", m.group, fmt.Errorf("%w: %w", gateway.ErrUncertain, ctxerr.Of(ctx)))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.left
	if cause := m.Err(); !errors.Is(cause, session.ErrReleased) {
		err = fmt.Errorf("%w: %w", session.ErrNotHeld, cause)
	}
	m.left = session.ErrNotHeld
	return wrap("leave", m.group, err)
}
