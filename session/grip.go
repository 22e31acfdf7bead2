package session

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

// Grip is a recipe's side of a [Holding]: what gives it back.
type Grip struct {
	h       *Holding
	remove  [1]gateway.Op // room for what most releases do
	release []gateway.Op
	free    func() // of the slot

	mu      sync.Mutex
	state   gripState
	undone  bool          // a release that was cut off has been done in the background,
	settled chan struct{} // and then this is closed; made by the first to be cut off
	full    chan struct{} // closed when it cannot be done because the database is full; made along
	blocks  bool          // it cannot
	foreign bool          // the key is no longer under the session's lease, see unleased
	whole   bool          // release is more than a trace of how the hold ended: all of it is applied, or nothing

	// Among the young.
	born       time.Time
	prev, next *Grip
}

type gripState int

const (
	gripHeld     gripState = iota
	gripLeaving            // a Release is under way
	gripSettling           // its caller has left; the session goes on
	gripStuck              // the server refused it: may be tried again
	gripGone
)

// Hold makes a holding of a key that the session has created at the revision fence. free is called once the key is known
// to be gone.
func (s *Session) Hold(key string, fence int64, free func()) (*Holding, *Grip) {
	var both struct {
		h Holding
		g Grip
	}
	both.h = Holding{s: s, key: key, fence: fence}
	both.g = Grip{h: &both.h, free: free}
	s.young.add(&both.g)
	return &both.h, &both.g
}

// Also adds to what is applied together with the deletion of the key when the holding is given back. It must not be
// called once others may release.
func (g *Grip) Also(release ...gateway.Op) { g.release = append(g.release, release...) }

// Release gives the holding back: its context ends at once, then the key is deleted. It is [ErrNotHeld] if the holding
// had ended before, also by an earlier Release. If ctx ends first the error is [gateway.ErrUncertain] and that of ctx, and
// the deletion goes on in the background; a repeated Release waits for it and then returns nil. If ctx has ended before the
// call, Release has 1 s of its own.
func (g *Grip) Release(ctx context.Context) error { return g.leave(ctx, nil, g.h.s.Write) }

// ReleaseWith is Release with ops instead of those of [Grip.Also]. Of several releases under way only the first counts;
// after one that the server refused, the next may come with others.
func (g *Grip) ReleaseWith(ctx context.Context, ops ...gateway.Op) error {
	return g.leave(ctx, append([]gateway.Op{}, ops...), g.h.s.Write)
}

// ReleaseTogether is ReleaseWith by [Session.WriteTogether], and deletes more keys besides, of which what is said there
// holds, as it does of the holding's own.
func (g *Grip) ReleaseTogether(ctx context.Context, weight int, deletes []string, ops ...gateway.Op) error {
	with := make([]gateway.Op, 0, len(deletes)+len(ops))
	for _, key := range deletes {
		with = append(with, gateway.OpDelete(key))
	}
	return g.leave(ctx, append(with, ops...), func(ctx context.Context, w Write) (Outcome, error) {
		return g.h.s.WriteTogether(ctx, w, weight, append([]string{g.h.key}, deletes...)...)
	})
}

// Gone is Release for a holding whose key another write of the session has deleted, as the answer to it told.
func (g *Grip) Gone() {
	_ = g.leave(g.h.s.ctx, nil, func(context.Context, Write) (Outcome, error) {
		return Outcome{Applied: true, Responses: []gateway.OpResponse{{Delete: &gateway.DeleteResponse{Deleted: 1}}}}, nil
	})
}

// Abandon is Release in the background.
func (g *Grip) Abandon(ctx context.Context) {
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	_ = g.end(ended, nil, g.h.s.Write) // says so
}

func (g *Grip) leave(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	return g.end(ctx, with, write)
}

func (g *Grip) end(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
	err := g.h.Err() // looks at the clock
	g.mu.Lock()
	state, foreign := g.state, g.foreign
	if foreign && err == nil {
		err = lost(ErrRemoved)
	}
	if state == gripHeld || state == gripStuck {
		g.state = gripLeaving
		if with != nil {
			g.release, g.whole = with, true
		}
	}
	if state == gripHeld {
		g.h.end(ErrReleased)
		g.h.s.young.remove(g)
		if err != nil {
			g.state = gripGone
		}
	}
	g.mu.Unlock()
	switch {
	case state == gripSettling:
		return g.await(ctx, with, write)
	case state == gripLeaving || state == gripGone:
		return ErrNotHeld
	case state == gripHeld && err != nil:
		if errors.Is(err, ErrRemoved) && !foreign {
			g.free()
		}
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	return g.delete(ctx, write)
}

func (g *Grip) delete(ctx context.Context, write func(context.Context, Write) (Outcome, error)) error {
	g.remove[0] = gateway.OpDelete(g.h.key)
	w := Write{Then: g.remove[:], Key: g.h.key}
	if len(g.release) > 0 {
		// A mere deletion finds its own incarnation or none, since the key is this session's. What goes with it must
		// not be done for a hold that somebody else has ended.
		w = g.guarded(append(g.remove[:], g.release...))
		if !g.whole {
			w.Lean = g.guarded(g.remove[:]).Undo
		}
	}
	w.Insist, w.settler = true, g
	out, err := write(ctx, w)
	if errors.Is(err, gateway.ErrNoSpace) && w.Lean != nil && ctx.Err() == nil {
		lean := g.guarded(g.remove[:])
		lean.Insist, lean.settler = true, g
		out, err = write(ctx, lean)
		out.Repeated = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.state = gripGone
		if !out.InDoubt { // else a late copy of it would delete the key for another: settle frees it
			g.free()
		}
		if gone := !out.Applied || out.Responses[0].Delete.Deleted == 0; gone && !out.Repeated {
			return fmt.Errorf("%w: %w", ErrNotHeld, lost(ErrRemoved))
		}
		return nil
	case errors.Is(err, ErrLost):
		g.state = gripGone
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	case errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil && w.Guarded:
		g.state = gripStuck
	case errors.Is(err, gateway.ErrUncertain):
		g.state, g.settled, g.full = gripSettling, make(chan struct{}), make(chan struct{})
		if g.undone {
			close(g.settled)
		}
		if g.blocks {
			close(g.full)
		}
	default:
		g.state = gripStuck
	}
	return err
}

// guarded is a write that does all of ops, of which the first deletes the key, if the hold has not ended otherwise.
func (g *Grip) guarded(ops []gateway.Op) Write {
	own := gateway.Txn{If: []gateway.Cmp{g.h.Guard()}, Then: ops}
	return Write{
		If: own.If, Then: ops, Guarded: true, Undo: func() []gateway.Op { return []gateway.Op{gateway.OpTxn(own)} },
	}
}

// settle is told when a release that was cut off has been done.
func (g *Grip) settle(Outcome) {
	g.free()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isUndone()
}

// blocked is told when a release that was cut off meets a full database. lean says that the key has gone all the same.
func (g *Grip) blocked(lean bool) {
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

func (g *Grip) isUndone() {
	if !g.undone && g.settled != nil {
		close(g.settled)
	}
	g.undone = true
}

// await is a Release after one that was cut off. One of them gets the success. Where a full database is in the way of the
// first, one that comes with other operations need not wait: at most one of the two is applied.
func (g *Grip) await(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
	g.mu.Lock()
	settled, full := g.settled, g.full
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

func (g *Grip) awaited(ctx context.Context, settled chan struct{}) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-settled:
		if g.state == gripGone {
			return ErrNotHeld
		}
		g.state = gripGone
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
