package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/grace"
)

// Releaser is a recipe's side of a [Hold]: it releases the hold. It is safe for concurrent use,
// except for AddReleaseOps.
type Releaser struct {
	h       *Hold
	remove  [1]gateway.Op // space for the operations of most releases
	release []gateway.Op
	free    func() // see Session.ReserveKey

	mu    sync.Mutex
	state releaseState
	// undone: a release that was cut off has completed in the background. whenResolved is closed
	// then.
	undone       bool
	whenResolved chan struct{} // made when a release is cut off
	// blocks: a release that was cut off cannot complete because the database is full. full is
	// closed then.
	blocks bool
	full   chan struct{} // made with whenResolved
	// foreign: the key is no longer under the session's lease, see unleased.
	foreign bool
	// whole: release does more than record how the hold ended, so all of it is applied, or nothing.
	whole bool

	// Links of unwatchedHolds.
	born       time.Time
	prev, next *Releaser
}

// releaseState is the state of the release of a hold:
//
//	held      → under way   a Release
//	held      → done        the hold had ended before
//	under way → done, rejected, in doubt
//	rejected  → under way   the next Release
//	in doubt  → done        the session has resolved it, and the next Release returns nil
type releaseState int

const (
	releaseHeld     releaseState = iota
	releaseUnderWay              // a Release is under way
	releaseInDoubt               // its caller has returned; the session resolves it
	releaseRejected              // the server rejected it; it may be tried again
	releaseDone
)

// Hold returns a hold of a key that the session has created at the revision fence. free is called
// once the key is known not to exist.
func (s *Session) Hold(key string, fence int64, free func()) (*Hold, *Releaser) {
	var both struct {
		h Hold
		g Releaser
	}
	both.h = Hold{s: s, key: key, fence: fence}
	both.g = Releaser{h: &both.h, free: free}
	s.unwatched.add(&both.g)
	return &both.h, &both.g
}

// AddReleaseOps adds operations that a release applies together with the deletion of the key. It
// must not be called once others may release the hold.
func (g *Releaser) AddReleaseOps(release ...gateway.Op) {
	g.release = append(g.release, release...)
}

// writeFunc is [Session.Write], or another way to send a write.
type writeFunc func(ctx context.Context, w Write) (Outcome, error)

// Release releases the hold: its context ends at once, then the key is deleted. It returns
// [ErrNotHeld] when the hold had ended before, also by an earlier Release. When ctx ends first it
// returns [gateway.ErrUncertain] with the error of ctx, and the deletion continues in the
// background; a repeated Release waits for it and then returns nil. If ctx has ended before the
// call, Release has 1 s of its own.
func (g *Releaser) Release(ctx context.Context) error { return g.leave(ctx, nil, g.h.s.Write) }

// ReleaseWith is Release with ops instead of the operations of [Releaser.AddReleaseOps]. Of several
// releases under way only the first counts. After a release that the server rejected, the next may
// have other operations.
func (g *Releaser) ReleaseWith(ctx context.Context, ops ...gateway.Op) error {
	return g.leave(ctx, append([]gateway.Op{}, ops...), g.h.s.Write)
}

// ReleaseTogether is ReleaseWith by [Session.WriteTogether]. It also deletes the keys in deletes.
// For them and the hold's key, the conditions of WriteTogether apply.
func (g *Releaser) ReleaseTogether(
	ctx context.Context, weight int, deletes []string, ops ...gateway.Op,
) error {
	with := make([]gateway.Op, 0, len(deletes)+len(ops))
	for _, key := range deletes {
		with = append(with, gateway.OpDelete(key))
	}
	return g.leave(ctx, append(with, ops...), func(ctx context.Context, w Write) (Outcome, error) {
		return g.h.s.WriteTogether(ctx, w, weight, append([]string{g.h.key}, deletes...)...)
	})
}

// MarkDeleted is Release for a hold whose key another write of the session has deleted, according
// to its answer.
func (g *Releaser) MarkDeleted() {
	_ = g.leave(g.h.s.ctx, nil, func(context.Context, Write) (Outcome, error) {
		return Outcome{Applied: true, Responses: []gateway.OpResponse{deletedOne}}, nil
	})
}

// Abandon is Release in the background.
func (g *Releaser) Abandon(ctx context.Context) {
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	_ = g.end(ended, nil, g.h.s.Write)
}

// Released reports whether the hold has ended by a release, which may have failed since.
func (g *Releaser) Released() bool { return errors.Is(g.h.Err(), ErrReleased) }

func (g *Releaser) leave(ctx context.Context, with []gateway.Op, write writeFunc) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	return g.end(ctx, with, write)
}

func (g *Releaser) end(ctx context.Context, with []gateway.Op, write writeFunc) error {
	err := g.h.Err() // reads the clock
	g.mu.Lock()
	state, foreign := g.state, g.foreign
	if foreign && err == nil {
		err = lost(ErrKeyDeleted)
	}
	if state == releaseHeld || state == releaseRejected {
		g.state = releaseUnderWay
		if with != nil {
			g.release, g.whole = with, true
		}
	}
	if state == releaseHeld {
		g.h.end(ErrReleased)
		g.h.s.unwatched.remove(g)
		if err != nil {
			g.state = releaseDone
		}
	}
	g.mu.Unlock()
	switch {
	case state == releaseInDoubt:
		return g.await(ctx, with, write)
	case state == releaseUnderWay || state == releaseDone:
		return ErrNotHeld
	case state == releaseHeld && err != nil:
		if errors.Is(err, ErrKeyDeleted) && !foreign {
			g.free()
		}
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	return g.delete(ctx, write)
}

func (g *Releaser) delete(ctx context.Context, write writeFunc) error {
	g.remove[0] = gateway.OpDelete(g.h.key)
	w := Write{Then: g.remove[:], Key: g.h.key}
	if len(g.release) > 0 {
		// A deletion alone finds this incarnation of the key or none, because only this session
		// creates the key. The other operations must not be applied for a hold that another client
		// has ended.
		w = g.guarded(append(g.remove[:], g.release...))
		if !g.whole {
			w.Lean = g.guarded(g.remove[:]).Compensation
		}
	}
	w.CompleteOnCancel, w.resolver = true, g
	out, err := write(ctx, w)
	if errors.Is(err, gateway.ErrNoSpace) && w.Lean != nil && ctx.Err() == nil {
		lean := g.guarded(g.remove[:])
		lean.CompleteOnCancel, lean.resolver = true, g
		out, err = write(ctx, lean)
		out.Repeated = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.state = releaseDone
		if !out.InDoubt { // else resolve frees the key, because a late copy could delete it again
			g.free()
		}
		if gone := !out.Applied || out.Responses[0].Delete.Deleted == 0; gone && !out.Repeated {
			return fmt.Errorf("%w: %w", ErrNotHeld, lost(ErrKeyDeleted))
		}
		return nil
	case errors.Is(err, ErrLost):
		g.state = releaseDone
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	case errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil && w.Guarded:
		g.state = releaseRejected
	case errors.Is(err, gateway.ErrUncertain):
		g.state, g.whenResolved, g.full = releaseInDoubt, make(chan struct{}), make(chan struct{})
		if g.undone {
			close(g.whenResolved)
		}
		if g.blocks {
			close(g.full)
		}
	default:
		g.state = releaseRejected
	}
	return err
}

// guarded returns a write that applies all of ops, of which the first deletes the key, unless the
// hold has ended otherwise.
func (g *Releaser) guarded(ops []gateway.Op) Write {
	own := gateway.Txn{If: []gateway.Cmp{g.h.Guard()}, Then: ops}
	return Write{
		If: own.If, Then: ops, Guarded: true,
		Compensation: func() []gateway.Op { return []gateway.Op{gateway.OpTxn(own)} },
	}
}

// resolve is called when a release that was cut off has completed.
func (g *Releaser) resolve(Outcome) {
	g.free()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isUndone()
}

// blocked is called when a release that was cut off meets a full database. lean reports that the
// key was deleted nevertheless.
func (g *Releaser) blocked(lean bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case lean:
		g.isUndone()
	case !g.blocks:
		if g.blocks = true; g.full != nil {
			close(g.full)
		}
	}
}

func (g *Releaser) isUndone() {
	if !g.undone && g.whenResolved != nil {
		close(g.whenResolved)
	}
	g.undone = true
}

// await is a Release after one that was cut off. One of the callers returns nil. If a full database
// blocks the first release, a release with other operations is sent without waiting, because at
// most one of the two is applied.
func (g *Releaser) await(ctx context.Context, with []gateway.Op, write writeFunc) error {
	g.mu.Lock()
	settled, full := g.whenResolved, g.full
	g.mu.Unlock()
	if with == nil {
		full = nil
	}
	select {
	case <-settled:
	case <-full:
		out, err := write(ctx, g.guarded(append([]gateway.Op{gateway.OpDelete(g.h.key)}, with...)))
		if err != nil {
			return err
		}
		g.mu.Lock()
		if out.Applied {
			g.isUndone()
		}
		g.mu.Unlock()
	case <-g.h.s.ctx.Done():
	case <-ctx.Done():
	}
	return g.awaited(ctx, settled)
}

func (g *Releaser) awaited(ctx context.Context, settled chan struct{}) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-settled:
		if g.state == releaseDone {
			return ErrNotHeld
		}
		g.state = releaseDone
		return nil
	default:
	}
	if g.h.s.ctx.Err() != nil {
		cause := context.Cause(g.h.s.ctx) //nolint:contextcheck // it only reads why the session ended
		return fmt.Errorf("%w: %w", ErrNotHeld, cause)
	}
	if ctx.Err() == nil {
		return ErrNotHeld
	}
	return uncertain(ctxerr.Of(ctx))
}
