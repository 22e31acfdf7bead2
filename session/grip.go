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
	state, settled := g.state, g.settled
	if state == gripHeld || state == gripStuck {
		g.state = gripLeaving
		if with != nil {
			g.release = with
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
		return g.await(ctx, settled)
	case state == gripLeaving || state == gripGone:
		return ErrNotHeld
	case state == gripHeld && err != nil:
		if errors.Is(err, ErrRemoved) {
			g.free()
		}
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	return g.delete(ctx, write)
}

func (g *Grip) delete(ctx context.Context, write func(context.Context, Write) (Outcome, error)) error {
	g.remove[0] = gateway.OpDelete(g.h.key)
	remove := append(g.remove[:], g.release...)
	w := Write{Then: remove, Insist: true, settler: g}
	if len(g.release) == 0 {
		w.Key = g.h.key
	} else {
		// A mere deletion finds its own incarnation or none, since the key is this session's. What goes with it must
		// not be done for a hold that somebody else has ended.
		own := gateway.Txn{If: []gateway.Cmp{g.h.Guard()}, Then: remove}
		w.If, w.Undo = own.If, func() []gateway.Op { return []gateway.Op{gateway.OpTxn(own)} }
	}
	out, err := write(ctx, w)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.state = gripGone
		g.free()
		if gone := !out.Applied || out.Responses[0].Delete.Deleted == 0; gone && !out.Repeated {
			return fmt.Errorf("%w: %w", ErrNotHeld, lost(ErrRemoved))
		}
		return nil
	case errors.Is(err, ErrLost):
		g.state = gripGone
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	case errors.Is(err, gateway.ErrUncertain):
		g.state, g.settled = gripSettling, make(chan struct{})
		if g.undone {
			close(g.settled)
		}
	default:
		g.state = gripStuck
	}
	return err
}

// settle is told when a release that was cut off has been done.
func (g *Grip) settle(Outcome) {
	g.free()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.undone = true
	if g.settled != nil {
		close(g.settled)
	}
}

// await is a Release after one that was cut off. One of them gets the success.
func (g *Grip) await(ctx context.Context, settled chan struct{}) error {
	select {
	case <-settled:
	case <-g.h.s.ctx.Done():
	case <-ctx.Done():
	}
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
	return uncertain(ctxerr.Of(ctx))
}
