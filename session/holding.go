package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Holding is what somebody holds: a lock, a permit, a leadership, a claim. It is safe for concurrent use.
type Holding struct {
	s     *Session
	key   string
	fence int64
	ctx   context.Context //nolint:containedctx // the life of the hold itself, handed out by Context
	end   context.CancelCauseFunc
}

// Context ends when the hold does: before the lease can expire, when the server takes the lease, when somebody deletes
// the key, or when the hold is given back. [context.Cause] then wraps [ErrLost], or is [ErrReleased].
func (h *Holding) Context() context.Context { return h.ctx }

// Fence is the revision that created the hold's key. Of two holds of one name the later has the greater fence. Pass it
// to whatever is written to outside of etcd, and let that refuse a smaller fence than it has seen.
func (h *Holding) Fence() int64 { return h.fence }

// Guard is a compare that holds for as long as the hold's key exists, for the caller's own transactions: with it a write
// is applied only under this hold, whatever the clocks say.
func (h *Holding) Guard() gateway.Cmp { return gateway.CreateRevision(h.key, gateway.Equal, h.fence) }

// Key is the key in etcd that stands for the hold.
func (h *Holding) Key() string { return h.key }

// Deadline is when the hold ends unless the session is renewed before.
func (h *Holding) Deadline() time.Time { return h.s.Deadline() }

// Err is nil while the hold may be relied on, and else why it ended. It looks at the clock itself.
func (h *Holding) Err() error {
	if h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	return h.s.Err()
}

// Txn applies a transaction of the caller's own under the hold: at most once, and only while the hold's key exists. Look
// at the error in this order: [gateway.ErrUncertain], ctx ended before it was known whether it was applied; [ErrNotHeld],
// it was not and will not be, since the hold has ended. See [Session.Txn] for what happens to lost answers.
func (h *Holding) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	resp, err := h.s.guarded(ctx, t, h.key, h.fence)
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, ErrNotHeld): // by the guard; the hold may not know yet
		err = errors.Join(err, h.Err())
	case errors.Is(err, ErrLost):
		err = fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	return nil, fmt.Errorf("session: txn under %s: %w", h.key, err)
}

// Grip is a recipe's side of a [Holding]: what gives it back.
type Grip struct {
	h       *Holding
	release []gateway.Op
	free    func() // of the slot

	mu      sync.Mutex
	state   gripState
	timer   *time.Timer
	settled chan struct{} // closed when a release that was cut off has been done in the background
}

type gripState int

const (
	gripHeld     gripState = iota
	gripLeaving            // a Release is under way
	gripSettling           // its caller has left; the session goes on
	gripStuck              // the server refused it: may be tried again
	gripGone
)

// ownWatchDelay is how long a hold must last before its key is watched: most are shorter, and a lost lease shows without.
const ownWatchDelay = time.Second

// Hold makes a holding of a key that the session has created at the revision fence. free is called once the key is known
// to be gone.
func (s *Session) Hold(key string, fence int64, free func()) (*Holding, *Grip) {
	h := &Holding{s: s, key: key, fence: fence}
	h.ctx, h.end = context.WithCancelCause(s.ctx)
	g := &Grip{h: h, free: free}
	g.mu.Lock()
	g.timer = time.AfterFunc(ownWatchDelay, g.watch)
	g.mu.Unlock()
	return h, g
}

func (g *Grip) watch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == gripHeld && g.h.ctx.Err() == nil {
		stop := g.h.s.watchOwn(g.h.key, g.h.fence, func() { g.h.end(lost(ErrRemoved)) })
		context.AfterFunc(g.h.ctx, stop) // also where a lost hold is never released
	}
}

// Also adds to what is applied together with the deletion of the key when the holding is given back. It must not be
// called once others may release.
func (g *Grip) Also(release ...gateway.Op) { g.release = append(g.release, release...) }

// Release gives the holding back: its context ends at once, then the key is deleted. It is [ErrNotHeld] if the holding
// had ended before, also by an earlier Release. If ctx ends first, even before the call, the error is
// [gateway.ErrUncertain] and that of ctx, and the deletion goes on in the background; a repeated Release waits for it and
// then returns nil.
func (g *Grip) Release(ctx context.Context) error { return g.leave(ctx, nil, g.h.s.Write) }

// ReleaseWith is Release with ops instead of those of [Grip.Also]. Of several releases under way only the first counts;
// after one that the server refused, the next may come with others.
func (g *Grip) ReleaseWith(ctx context.Context, ops ...gateway.Op) error {
	return g.leave(ctx, append([]gateway.Op{}, ops...), g.h.s.Write)
}

// ReleaseTogether is ReleaseWith by [Session.WriteTogether].
func (g *Grip) ReleaseTogether(ctx context.Context, weight int, ops ...gateway.Op) error {
	return g.leave(ctx, append([]gateway.Op{}, ops...), func(ctx context.Context, w Write) (Outcome, error) {
		return g.h.s.WriteTogether(ctx, w, weight)
	})
}

func (g *Grip) leave(ctx context.Context, with []gateway.Op, write func(context.Context, Write) (Outcome, error)) error {
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
		g.timer.Stop()
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
	remove := append([]gateway.Op{gateway.OpDelete(g.h.key)}, g.release...)
	settled := make(chan struct{})
	w := Write{Then: remove, Undo: remove, Insist: true, Settled: func(Outcome) {
		g.free()
		close(settled)
	}}
	if len(g.release) == 0 {
		w.Key = g.h.key
	} else {
		// A mere deletion finds its own incarnation or none, since the key is this session's. What goes with it must
		// not be done for a hold that somebody else has ended.
		own := gateway.Txn{If: []gateway.Cmp{g.h.Guard()}, Then: remove}
		w.If, w.Undo = own.If, []gateway.Op{gateway.OpTxn(own)}
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
		g.state, g.settled = gripSettling, settled
	default:
		g.state = gripStuck
	}
	return err
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
