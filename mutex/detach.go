package mutex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// ErrNoFence is returned by [Adopt] when a waiter has joined the line so shortly after the lock
// that there is no fence between the two.
var ErrNoFence = core.ErrNoFence

// fenceTries is the number of times that a detachable lock is acquired to get one that has a fence
// left for [Adopt]. It has none if another member joined at the next revision of etcd, which
// usually means that both joined at the same moment. One that joins later rarely meets that.
const fenceTries = 3

// lockDetachable acquires a lock with [Options.Detachable].
func (m *Mutex) lockDetachable(ctx context.Context, join enterFunc) (line.Hold, error) {
	for try := 1; ; try++ {
		h, err := join(ctx, line.Join{Value: exclusive, Exclusive: true})
		if err != nil {
			return line.Hold{}, err
		}
		ready, err := h.Grip.MakeDetachable(ctx, try == fenceTries)
		switch {
		case ready:
			return h, nil
		case err != nil:
			h.Abandon(ctx)
			return line.Hold{}, err
		}
		// Not in the background, because a Try would find the key.
		err = line.GiveBack(ctx, h.Grip, h.Grip.Release)
		if err != nil && !errors.Is(err, session.ErrNotHeld) {
			return line.Hold{}, err
		}
	}
}

// Detach ends the lock and lets its key live on for d under a lease of its own, so that no other
// member is granted the lock although the session may end. The context of the lock ends as by an
// Unlock.
// [Adopt] takes the lock into a session by its token, [Renew] and [Release] need no session.
// Without them the lock is free when d is over, by the clock of etcd.
//
// Detach returns [gateway.ErrInvalid] when the lock was acquired without [Options.Detachable], or d
// is not between 1 s and [gateway.MaxTTL], and the error of the request for a lease: then the lock
// is held as before. It returns [session.ErrNotHeld] when the lock was lost or unlocked before.
// After [gateway.ErrUncertain] the lock is released in the background, or with d if the session was
// lost. After any other error the lock has ended and its key is there until an [Lock.Unlock].
func (l *Lock) Detach(ctx context.Context, d time.Duration) (Token, error) {
	token, err := l.detach(ctx, d)
	return token, l.line.Wrap("detach", err)
}

func (l *Lock) detach(ctx context.Context, d time.Duration) (Token, error) {
	if !l.detachable {
		return "", fmt.Errorf("%w: the lock is not detachable, see Options", gateway.ErrInvalid)
	}
	if err := l.Err(); err != nil {
		return "", line.NotHeld(err)
	}
	c := l.line.Session.Client()
	lease, err := grant(ctx, c, d)
	if err != nil {
		return "", err
	}
	detached, err := l.hold.Grip.Detach(ctx, lease)
	if err != nil {
		// It deletes the key if that was put under the lease, also if the session is lost.
		core.Discard(ctx, c, lease)
		return "", err
	}
	return tokenOf(detached), nil
}

// grant grants a lease for the key of a detached lock.
func grant(ctx context.Context, c *gateway.Client, d time.Duration) (gateway.LeaseID, error) {
	if d < time.Second || d > gateway.MaxTTL {
		return 0, fmt.Errorf("%w: a time of %v, not between 1s and %v",
			gateway.ErrInvalid, d, gateway.MaxTTL)
	}
	lease := gateway.NewLeaseID()
	_, err := c.Grant(ctx, lease, d)
	if err == nil {
		return lease, nil
	}
	if errors.Is(err, gateway.ErrUncertain) { // the lease, not the lock
		core.Discard(ctx, c, lease)
	}
	return 0, fmt.Errorf("no lease: %w", core.Certain(ctx, err))
}

var errNoClient = fmt.Errorf("mutex: %w: no client", gateway.ErrInvalid)

// Adopt takes a detached lock into the session. Nobody else is granted the lock meanwhile. The new
// lock has a greater fence than all owners before, and a smaller one than later holders. The guards
// of the owners before, and the token, are void. The lock can be detached again.
//
// Adopt returns [session.ErrNotHeld] when the lock has expired or was released, or another has
// adopted it; [ErrNoFence] when there is no fence for the new owner, and then the lock is detached
// as before; and [gateway.ErrInvalid] for a token that Detach has not returned. After
// [gateway.ErrUncertain] the lock is detached as before, or it is released in the background;
// [Renew] finds out.
func Adopt(ctx context.Context, s *session.Session, token Token) (*Lock, error) {
	asked := time.Now()
	d, err := token.parse()
	if err != nil {
		return nil, err
	}
	l := &New(s, token.Name(), nil).line
	if err := l.Check(ctx); err != nil {
		return nil, l.Wrap("adopt", err)
	}
	h, grip, err := core.Adopt(ctx, l.Session, d)
	if err != nil {
		return nil, l.Wrap("adopt", err)
	}
	lock := &Lock{line.Hold{Hold: h, Grip: grip}, l, true}
	granted := false
	defer func() {
		if !granted { // also if a hook panicked
			lock.hold.Abandon(ctx)
		}
	}()
	if err = l.Session.Ready(ctx); err == nil {
		err = h.Err()
	}
	if err != nil {
		return nil, l.Wrap("adopt", err)
	}
	l.Session.ObserveHold(ctx, h, l.Kind, l.Name, asked)
	granted = true
	return lock, nil
}

// Renew lets a detached lock live for d from now on, which may be shorter than before. It returns
// [session.ErrNotHeld] when the lock has expired, was released or was adopted, and
// [gateway.ErrInvalid] for a token that [Lock.Detach] has not returned. It may be repeated after
// any other error.
func Renew(ctx context.Context, c *gateway.Client, token Token, d time.Duration) error {
	detached, err := token.parse()
	switch {
	case err != nil:
		return err
	case c == nil:
		return errNoClient
	}
	lease, err := grant(ctx, c, d)
	if err == nil {
		err = renew(ctx, c, detached, lease)
	}
	if err != nil && !errors.Is(err, gateway.ErrUncertain) {
		core.Discard(ctx, c, lease)
	}
	return token.wrap("renew", err)
}

// renew puts the key under a lease. The compare of the mod_revision makes a Renew without an answer
// void when a later one has returned. Otherwise a late copy of it could let the lock end earlier.
func renew(ctx context.Context, c *gateway.Client, d core.Detached, lease gateway.LeaseID) error {
	put := gateway.OpPut(d.Key, d.Value(), gateway.WithLease(lease), gateway.PrevKV())
	for {
		got, err := c.Get(ctx, d.Key)
		switch {
		case err != nil:
			return err
		case !d.In(got.KVs):
			return session.ErrNotHeld
		}
		last := gateway.CmpModRevision(d.Key, gateway.Equal, got.KVs[0].ModRevision)
		err = change(ctx, c, d, put, last)
		if !errors.Is(err, session.ErrNotHeld) { // else another Renew may have put it
			return err
		}
	}
}

// Release frees a detached lock. It returns [session.ErrNotHeld] when the lock has expired, was
// released or was adopted, and [gateway.ErrInvalid] for a token that [Lock.Detach] has not
// returned. It may be repeated after any other error.
func Release(ctx context.Context, c *gateway.Client, token Token) error {
	detached, err := token.parse()
	switch {
	case err != nil:
		return err
	case c == nil:
		return errNoClient
	}
	return token.wrap("release", change(ctx, c, detached,
		gateway.OpDelete(detached.Key, gateway.PrevKV())))
}

// change applies op to the key of a detached lock if the compares hold, and revokes the lease that
// the key had.
func change(
	ctx context.Context, c *gateway.Client, d core.Detached, op gateway.Op, more ...gateway.Cmp,
) error {
	resp, err := c.Txn(ctx, gateway.Txn{If: append(d.Guard(), more...), Then: []gateway.Op{op}})
	switch {
	case err != nil:
		return err
	case !resp.Succeeded:
		return session.ErrNotHeld
	}
	switch was := resp.Responses[0]; {
	case was.Put != nil && was.Put.PrevKV != nil:
		core.Discard(ctx, c, was.Put.PrevKV.Lease)
	case was.Delete != nil && len(was.Delete.PrevKVs) > 0:
		core.Discard(ctx, c, was.Delete.PrevKVs[0].Lease)
	}
	return nil
}
