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

// Releaser is a recipe's side of a [Hold]: what gives it back.
type Releaser struct {
	h       *Hold
	remove  [1]gateway.Op // room for what most releases do
	release []gateway.Op
	free    func() // of the slot

	mu           sync.Mutex
	state        releaseState
	undone       bool          // a release that was cut off has been done in the background,
	whenResolved chan struct{} // and then this is closed; made by the first to be cut off
	full         chan struct{} // closed when it cannot be done because the database is full; made along
	blocks       bool          // it cannot
	foreign      bool          // the key is no longer under the session's lease, see unleased
	whole        bool          // release is more than a trace of how the hold ended: all of it is applied, or nothing

	// While it is unwatched.
	born       time.Time
	prev, next *Releaser
}

type releaseState int

const (
	releaseHeld     releaseState = iota
	releaseUnderWay              // a Release is under way
	releaseInDoubt               // its caller has left; the session goes on
	releaseRejected              // the server refused it: may be tried again
	releaseDone
)

// Hold makes a hold of a key that the session has created at the revision fence. free is called once the key is known
// to be gone.
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

// AddReleaseOps adds to what is applied together with the deletion of the key when the hold is given back. It must not be
// called once others may release.
func (g *Releaser) AddReleaseOps(release ...gateway.Op) { g.release = append(g.release, release...) }

// Release gives the hold back: its context ends at once, then the key is deleted. It is [ErrNotHeld] if the hold
// had ended before, also by an earlier Release. If ctx ends first the error is [gateway.ErrUncertain] and that of ctx, and
// the deletion goes on in the background; a repeated Release waits for it and then returns nil. If ctx has ended before the
// call, Release has 1 s of its own.
func (g *Releaser) Release(ctx context.Context) error { return g.leave(ctx, nil, g.h.s.Write) }

// ReleaseWith is Release with ops instead of those of [Releaser.AddReleaseOps]. Of several releases under way only the first counts;
// after one that the server refused, the next may come with others.
func (g *Releaser) ReleaseWith(ctx context.Context, ops ...gateway.Op) error {
	return g.leave(ctx, append([]gateway.Op{}, ops...), g.h.s.Write)
}

// ReleaseTogether is ReleaseWith by [Session.WriteTogether], and deletes more keys besides, of which what is said there
// holds, as it does of the hold's own.
func (g *Releaser) ReleaseTogether(ctx context.Context, weight int, deletes []string, ops ...gateway.Op) error {
	with := make([]gateway.Op, 0, len(deletes)+len(ops))
	for _, key := range deletes {
		with = append(with, gateway.OpDelete(key))
	}
	return g.leave(ctx, append(with, ops...), func(ctx context.Context, w Write) (Outcome, error) {
		return g.h.s.WriteTogether(ctx, w, weight, append([]string{g.h.key}, deletes...)...)
	})
}

// MarkDeleted is Release for a hold whose key another write of the session has deleted, as the answer to it told.
func (g *Releaser) MarkDeleted() {
	_ = g.leave(g.h.s.ctx, nil, func(context.Context, Write) (Outcome, error) {
		return Outcome{Applied: true, Responses: []gateway.OpResponse{{Delete: &gateway.DeleteResponse{Deleted: 1}}}}, nil
	})
}

// Abandon is Release in the background.
func (g *Releaser) Abandon(ctx context.Context) {
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	_ = g.end(ended, nil, g.h.s.Write) // says so
}

// Released reports whether the hold has ended by a release, which may have failed since.
func (g *Releaser) Released() bool { return errors.Is(g.h.Err(), ErrReleased) }

func (g *Releaser) leave(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	return g.end(ctx, with, write)
}

func (g *Releaser) end(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
	err := g.h.Err() // looks at the clock
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

func (g *Releaser) delete(ctx context.Context, write func(context.Context, Write) (Outcome, error)) error {
	g.remove[0] = gateway.OpDelete(g.h.key)
	w := Write{Then: g.remove[:], Key: g.h.key}
	if len(g.release) > 0 {
		// A mere deletion finds its own incarnation or none, since the key is this session's. What goes with it must
		// not be done for a hold that somebody else has ended.
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
		if !out.InDoubt { // else a late copy of it would delete the key for another: settle frees it
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

// guarded is a write that does all of ops, of which the first deletes the key, if the hold has not ended otherwise.
func (g *Releaser) guarded(ops []gateway.Op) Write {
	own := gateway.Txn{If: []gateway.Cmp{g.h.Guard()}, Then: ops}
	return Write{
		If: own.If, Then: ops, Guarded: true, Compensation: func() []gateway.Op { return []gateway.Op{gateway.OpTxn(own)} },
	}
}

// resolve is told when a release that was cut off has been done.
func (g *Releaser) resolve(Outcome) {
	g.free()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isUndone()
}

// blocked is told when a release that was cut off meets a full database. lean says that the key has gone all the same.
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

// await is a Release after one that was cut off. One of them gets the success. Where a full database is in the way of the
// first, one that comes with other operations need not wait: at most one of the two is applied.
func (g *Releaser) await(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
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
		return fmt.Errorf("%w: %w", ErrNotHeld, context.Cause(g.h.s.ctx)) //nolint:contextcheck // it only reads why the session ended
	}
	if ctx.Err() == nil {
		return ErrNotHeld
	}
	return uncertain(ctxerr.Of(ctx))
}
