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

// Releaser is a recipe's side of a [Hold]: it releases the hold. It is safe for concurrent use. The
// exported fields are set, and AddReleaseOps is called, before others may release the hold. The
// functions must not block.
type Releaser struct {
	// OnQuiet, if set, is called by a release that has made the hold quiet, before the key is
	// deleted. It is not called for a hold that was lost.
	OnQuiet func(key string, fence int64)
	// OnPass, if set, is called by a release that may pass the key, before the key is deleted. If
	// it returns true, it has made the [Releaser.Successor], and the key is not deleted.
	OnPass func(*Releaser) bool
	// Deferred lets a release return before the key is deleted, see releasedefer.go.
	Deferred bool

	h        *Hold
	deletion [1]gateway.Op // of the key
	with     ReleaseWrite
	free     func() // see Session.ReserveKey

	mu      sync.Mutex
	state   releaseState
	changed chan struct{} // closed when state or blocked changes; made by calls that wait for it
	blocked bool          // a release in doubt cannot be resolved because the database is full
	foreign bool          // the key is no longer under the session's lease, see unleased
	whole   bool          // with does more than record the hold's end: all is applied, or nothing

	// Links of unwatchedHolds.
	born       time.Time
	prev, next *Releaser
}

// ReleaseWrite holds the operations that a release applies with the deletion of the hold's key.
type ReleaseWrite struct {
	Then    []gateway.Op
	Weight  int      // see [Write]; for the hold's key and Deletes too
	Deletes []string // keys that exist as long as the hold's key; only with a Weight
}

// releaseState is the state of the release of a hold:
//
//	                  Release
//	held ─────────────────────▶ under way ──answer──▶ done ◀──next Release returns nil──┐
//	  │ the hold had ended,      │   │ ▲                                                │
//	  │ or is overdue            │   │ └──next Release── rejected                       │
//	  └──────────▶ done          │   └──server rejects it──▲                            │
//	                             │                                                      │
//	                             └──caller returns──▶ in doubt ──session resolves it──▶ resolved
//
// A release may be resolved before its caller has returned. A release in doubt is done if etcd
// rejects it for good, because the session then deletes the key alone. While a full database blocks
// it, a release with other operations may be applied instead, and the hold is done.
type releaseState int

const (
	releaseHeld releaseState = iota
	releaseUnderWay
	releaseRejected
	releaseInDoubt
	releaseResolved
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
	both.g = Releaser{h: &both.h, deletion: [1]gateway.Op{gateway.OpDelete(key)}, free: free}
	s.unwatched.add(&both.g)
	return &both.h, &both.g
}

// AddReleaseOps adds operations that a release applies together with the deletion of the key.
func (g *Releaser) AddReleaseOps(ops ...gateway.Op) { g.with.Then = append(g.with.Then, ops...) }

// Release releases the hold: its context ends at once, then the key is deleted. It returns
// [ErrNotHeld] when the hold had ended before, also by an earlier Release. When ctx ends first it
// returns [gateway.ErrUncertain] with the error of ctx, and the deletion continues in the
// background; a repeated Release waits for it and then returns nil. If ctx has ended before the
// call, or ends with the hold, Release has 1 s of its own.
func (g *Releaser) Release(ctx context.Context) error { return g.release(ctx, nil) }

// ReleaseWith is Release with w instead of the operations of [Releaser.AddReleaseOps]. Of several
// releases under way only the first counts. After a release that the server rejected, the next may
// have another w.
func (g *Releaser) ReleaseWith(ctx context.Context, w ReleaseWrite) error {
	return g.release(ctx, &w)
}

func (g *Releaser) release(ctx context.Context, with *ReleaseWrite) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	return awaitRecord(ctx, g.begin(ctx, with))
}

// Abandon is Release in the background.
func (g *Releaser) Abandon(ctx context.Context) {
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	_ = g.begin(ended, nil)
}

// Released reports whether the hold has ended by a release, which may have failed since.
func (g *Releaser) Released() bool { return errors.Is(g.h.Err(), ErrReleased) }

// Rejected reports whether the server has rejected the last release. Its error may match
// [gateway.ErrUncertain] nevertheless, if the database is full.
func (g *Releaser) Rejected() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == releaseRejected
}

// close ends the hold itself. g.mu is held.
func (g *Releaser) close() {
	g.h.end(ErrReleased)
	g.h.stopLimit()
	g.h.s.unwatched.remove(g)
}

// begin moves the state machine for a release, and sends it or waits for an earlier one.
func (g *Releaser) begin(ctx context.Context, with *ReleaseWrite) error {
	lostBefore := g.h.Err() // reads the clock
	abandoned := ctx.Err() != nil
	g.mu.Lock()
	was, foreign := g.state, g.foreign
	if foreign && lostBefore == nil {
		lostBefore = lost(ErrKeyDeleted)
	}
	if was == releaseHeld || was == releaseRejected {
		g.state = releaseUnderWay
		if with != nil {
			g.with, g.whole = *with, true
		}
	}
	if was == releaseHeld {
		if g.close(); lostBefore != nil {
			g.state = releaseDone
		}
	}
	g.mu.Unlock()
	switch {
	case was == releaseInDoubt || was == releaseResolved:
		return g.await(ctx, with)
	case was == releaseUnderWay || was == releaseDone:
		if errors.Is(lostBefore, ErrLost) { // the key was deleted because the hold was overdue
			return &notHeldError{lostBefore}
		}
		return ErrNotHeld
	case was == releaseHeld && lostBefore != nil:
		switch {
		case foreign:
		case errors.Is(lostBefore, ErrKeyDeleted):
			g.free()
		case errors.Is(lostBefore, ErrOverdue): // at once, because the work has stopped
			g.compensateDeletion()
		}
		return &notHeldError{lostBefore}
	}
	if was == releaseHeld && (g.OnQuiet != nil || g.OnPass != nil || g.Deferred) && g.h.silence() {
		if g.passes() {
			return nil
		}
		if g.OnQuiet != nil {
			g.OnQuiet(g.h.key, g.h.fence)
		}
		if g.defers() {
			g.deleteLater()
			return nil
		}
	}
	if !abandoned {
		// The end of the hold has ended ctx too if it is the hold's own.
		var cancel context.CancelFunc
		ctx, cancel = grace.Of(ctx)
		defer cancel()
	}
	return g.delete(ctx)
}

// delete sends the release.
func (g *Releaser) delete(ctx context.Context) error {
	w := g.write(g.with)
	switch {
	case w.Guarded && !g.whole:
		w.Lean = g.guarded(g.deletion[:]).Compensation
	case w.Guarded:
		w.Fallback = g.guarded(g.deletion[:]).Compensation
	}
	w.CompleteOnCancel, w.resolver = true, g
	out, err := g.h.s.Write(ctx, w)
	if errors.Is(err, gateway.ErrNoSpace) && w.Lean != nil && !out.resolving {
		lean := g.guarded(g.deletion[:])
		lean.CompleteOnCancel, lean.resolver = true, g
		out, err = g.h.s.Write(ctx, lean)
		out.Repeated = true
	}
	return g.deleted(out, err)
}

// deleted moves the state machine after the write of a release.
func (g *Releaser) deleted(out Outcome, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil && g.failed(out, err):
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	case err != nil:
		return err
	}
	g.state = releaseDone
	if !out.InDoubt { // else resolve frees the key, because a late copy could delete it again
		g.free()
	}
	if gone := !out.Applied || out.Responses[0].Delete.Deleted == 0; gone && !out.Repeated {
		return &notHeldError{g.h.s.keyDeleted(g.h.key, g.h.fence)}
	}
	return nil
}

// failed moves the state machine after the write of a release that failed. It reports whether the
// session was lost. g.mu is held.
func (g *Releaser) failed(out Outcome, err error) (lost bool) {
	switch {
	case g.h.s.ctx.Err() != nil && errors.Is(err, ErrLost):
		g.state = releaseDone
		return true
	case !out.resolving:
		g.state = releaseRejected
	case g.state == releaseUnderWay:
		g.state = releaseInDoubt
	}
	return false
}

// write returns the write that deletes the key and applies with.
//
// A deletion alone finds this incarnation of the key or none, because only this session creates the
// key. Other operations must not be applied for a hold that another client has ended. The key of a
// detachable hold may have another owner.
func (g *Releaser) write(with ReleaseWrite) Write {
	if g.deletesOnly(with) {
		return Write{Then: g.deletion[:], Key: g.h.key}
	}
	return g.writeGuarded(with)
}

func (g *Releaser) deletesOnly(with ReleaseWrite) bool {
	return len(with.Then) == 0 && with.Weight == 0 && !g.h.detachable()
}

// writeGuarded returns the write that is applied for this incarnation of the key only.
func (g *Releaser) writeGuarded(with ReleaseWrite) Write {
	ops := make([]gateway.Op, 0, 1+len(with.Deletes)+len(with.Then))
	ops = append(ops, g.deletion[0])
	for _, key := range with.Deletes {
		ops = append(ops, gateway.OpDelete(key))
	}
	w := g.guarded(append(ops, with.Then...))
	if w.Weight = with.Weight; w.Weight > 0 {
		w.Deletes = append([]string{g.h.key}, with.Deletes...)
	}
	return w
}

// guarded returns a write that applies all of ops, of which the first deletes the key, unless the
// hold has ended otherwise.
func (g *Releaser) guarded(ops []gateway.Op) Write { return guardedWrite(g.h.guard(), ops) }

// resolve is called when a release that was cut off has completed.
func (g *Releaser) resolve(Outcome) {
	g.free()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resolved()
}

// fellBack is called when the key of a release that was cut off has been deleted without the other
// operations, because etcd rejects them.
func (g *Releaser) fellBack() {
	g.free()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == releaseUnderWay || g.state == releaseInDoubt {
		g.state = releaseDone
		g.notify()
	}
}

// blockedFull is called when a release that was cut off meets a full database. lean reports that
// the key was deleted nevertheless.
func (g *Releaser) blockedFull(lean bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if lean {
		g.resolved()
		return
	}
	g.blocked = true
	g.notify()
}

// resolved is the transition to that state. g.mu is held.
func (g *Releaser) resolved() {
	if g.state == releaseUnderWay || g.state == releaseInDoubt {
		g.state = releaseResolved
		g.notify()
	}
}

func (g *Releaser) notify() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// await is a release after one that was cut off. One of the callers returns nil. If a full database
// blocks the first release, a release with other operations is sent without waiting, because at
// most one of the two is applied.
func (g *Releaser) await(ctx context.Context, with *ReleaseWrite) error {
	for {
		g.mu.Lock()
		if g.state == releaseResolved {
			g.state = releaseDone
			g.mu.Unlock()
			return nil
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		state, blocked, changed := g.state, g.blocked && with != nil, g.changed
		g.mu.Unlock()
		switch {
		case state != releaseInDoubt:
			return ErrNotHeld
		case g.h.s.ctx.Err() != nil:
			cause := context.Cause(g.h.s.ctx) //nolint:contextcheck // it only reads the cause
			return fmt.Errorf("%w: %w", ErrNotHeld, cause)
		case ctx.Err() != nil:
			return uncertain(ctxerr.Of(ctx))
		case blocked:
			alone := *with
			alone.Weight = 0 // in a batch with another release of this hold both are applied
			out, err := g.h.s.Write(ctx, g.writeGuarded(alone))
			switch {
			case err == nil && !out.Applied:
				return ErrNotHeld
			case err == nil:
				g.mu.Lock()
				defer g.mu.Unlock()
				g.state = releaseDone
				g.notify()
				return nil
			case ctx.Err() == nil && g.h.s.ctx.Err() == nil:
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-g.h.s.ctx.Done():
		case <-ctx.Done():
		}
	}
}
