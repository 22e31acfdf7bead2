package barrier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// MaxParties is the largest number of members of a round, because one transaction compares all of
// them.
const MaxParties = 100

// backup is the time after which another member completes a full round that the n-th has not
// completed. The members try one after the other, the nearest to the n-th first, because each try
// compares all members of the round.
const backup = 100 * time.Millisecond

var (
	errOverdue = errors.New("overdue")
	errRemoved = fmt.Errorf("%w: %w", session.ErrLost, session.ErrKeyDeleted)
)

// rounds is the common part of Double and Cyclic.
type rounds struct{ place }

func (r *rounds) breakable() bool { return r.kind == cyclic }

// pass joins and waits until the round of the new member is complete. The member is still there
// then. If pass fails, the member is gone or is being removed in the background, and that breaks
// its round, if the round can break and is open.
func (r *rounds) pass(ctx context.Context) (line.Hold, round, error) {
	h, err := r.join(ctx)
	if err != nil {
		return h, round{}, err
	}
	passed, err := r.await(ctx, h.Fence())
	if err != nil {
		if r.breakable() {
			h.Grip.AddReleaseOps(breaking(&r.line, h.Fence()))
		}
		h.Abandon(ctx)
	}
	return h, passed, err
}

func (r *rounds) join(ctx context.Context) (h line.Hold, err error) {
	if err := r.check(ctx); err != nil {
		return h, err
	}
	var j line.Join
	j.If, j.Else = r.declared()
	err = line.Declaring(ctx, r.declare, func() (err error) {
		h, err = r.line.Enter(ctx, j)
		return err
	})
	return h, err
}

// await returns when the round of the member with this fence is decided, and completes or breaks
// the round if it must.
func (r *rounds) await(ctx context.Context, fence int64) (round, error) {
	before := state{Snapshot: line.Snapshot{Revision: fence - 1}}
	for patience := time.Duration(0); ; {
		now, err := r.next(ctx, before, patience)
		overdue := errors.Is(err, errOverdue)
		switch {
		case err != nil && !overdue:
			return round{}, err
		case !now.has(fence): // its key or its lease is gone, and others may have taken its place
			return round{}, cmp.Or(r.line.Session.Verify(ctx), errRemoved)
		case fence <= now.edge:
			return now.fate(fence)
		}
		all := now.waiting()
		full := len(all) >= r.n
		own := slices.IndexFunc(all, func(m line.Member) bool { return m.Fence == fence })
		behind := own - (r.n - 1) // the n-th
		switch err = nil; {
		case full && (overdue || behind == 0):
			_, err = r.line.Session.Write(ctx, now.complete(&r.line, r.n))
		case !full && r.breakable() && now.lost(before):
			err = r.breakUp(ctx, fence)
		}
		if err != nil {
			return round{}, err
		}
		before, patience = now, 0
		if full {
			patience = backup * time.Duration(max(1, behind, -behind))
		}
	}
}

// breakUp breaks the round of the member with this fence, unless the round is decided.
func (r *rounds) breakUp(ctx context.Context, fence int64) error {
	_, err := r.line.Session.Write(ctx, core.Write{Then: []gateway.Op{breaking(&r.line, fence)}})
	return err
}

// next waits until the line has changed. It returns errOverdue when patience is not 0 and has
// passed without a change.
func (r *rounds) next(
	ctx context.Context, before state, patience time.Duration,
) (now state, err error) {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, errOverdue)
		defer cancel()
	}
	now = before
	err = r.line.Until(ctx, func(v line.Snapshot) (changed bool, err error) {
		if changed = v.Revision > before.Revision; changed {
			now, err = stateOf(&r.line, v)
		}
		return changed, err
	})
	return now, err
}
