package cron

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Tick is an attempt at a tick, and the hold under which it runs. It is safe for concurrent use.
type Tick struct {
	r     *runner
	state state // Running is this attempt
	hold  *core.Hold
	grip  *core.Releaser

	mu       sync.Mutex
	ending   bool  // the function has returned, or the attempt has overrun its Timeout
	complete bool  // Complete was applied
	inDoubt  bool  // Complete was cut off, and the session continues it
	rejected error // of the last Complete
}

var _ session.Hold = (*Tick)(nil)

// Scheduled returns the time of the tick in UTC. For a tick by hand, it is the time of
// [Cron.Trigger].
func (t *Tick) Scheduled() time.Time { return t.state.Running.Scheduled }

// Attempt returns the number of this attempt at the tick, from 1.
func (t *Tick) Attempt() int { return t.state.Running.Attempt }

// Trigger returns the request for a tick by hand. ok is false for a tick of the schedule.
func (t *Tick) Trigger() (_ Request, ok bool) {
	if r := t.state.Running.Trigger; r != nil {
		return *r, true
	}
	return Request{}, false
}

// Context ends when the tick is lost or has ended. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased].
func (t *Tick) Context() context.Context { return t.hold.Context() }

// Err returns nil while the tick may be relied on, and the reason after it has ended.
func (t *Tick) Err() error { return t.hold.Err() }

// Fence returns the revision that created the tick's key. Each later tick and attempt has a greater
// fence.
func (t *Tick) Fence() int64 { return t.hold.Fence() }

// Guard returns a compare that holds for as long as the tick's key exists.
func (t *Tick) Guard() gateway.Cmp { return t.hold.Guard() }

// Key returns the tick's key in etcd.
func (t *Tick) Key() string { return t.hold.Key() }

// Deadline returns the time at which the tick ends unless the session is renewed before.
func (t *Tick) Deadline() time.Time { return t.hold.Deadline() }

// Txn applies a transaction at most once, and only while the tick's key exists. It returns
// [session.ErrNotHeld] when the tick has ended, see [session.Hold].
func (t *Tick) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return t.hold.Txn(ctx, txn)
}

// Complete ends the tick and applies ops, in one transaction under the tick. A function that
// returns nil without Complete ends the tick without ops. If Complete fails, the attempt has
// failed, even if the function returns nil, unless it repeats Complete. After Complete the result
// of the function is ignored. Use [gateway.OpTxn] for operations with conditions of their own.
//
// Returns [ErrTooLarge] when there are too many ops, and [session.ErrNotHeld] when the tick has
// ended or Complete was called before: then nothing was applied. When ctx ends first it returns
// [gateway.ErrUncertain], and the session continues in the background. A repeated Complete then
// waits for the outcome of the first and ignores its own ops. It returns ErrUncertain when the
// outcome cannot be found out. After any other error, for example that the server rejected an
// operation, nothing was applied, and Complete may be called again.
func (t *Tick) Complete(ctx context.Context, ops ...gateway.Op) error {
	err := t.finish(ctx, ops)
	t.mu.Lock()
	if !t.inDoubt && !errors.Is(err, core.ErrNotHeld) {
		t.rejected = err
	}
	t.mu.Unlock()
	return t.r.wrap("complete", err)
}

// finish ends the tick with success.
func (t *Tick) finish(ctx context.Context, ops []gateway.Op) error {
	if len(ops) > MaxOps {
		return fmt.Errorf("%w: %w: %d operations; %d are possible",
			gateway.ErrInvalid, ErrTooLarge, len(ops), MaxOps)
	}
	t.mu.Lock()
	complete, inDoubt := t.complete, t.inDoubt
	t.mu.Unlock()
	switch {
	case complete:
		return core.ErrNotHeld
	case inDoubt:
		return t.awaitOutcome(ctx)
	}
	end := t.r.endOps(t.state, t.record(ctx, ""))
	return t.ended(t.grip.ReleaseWith(ctx, core.ReleaseWrite{Then: append(end, ops...)}))
}

// ended notes the outcome of a finish. ErrNotHeld says nothing about another one under way.
func (t *Tick) ended(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	uncertain := errors.Is(err, gateway.ErrUncertain)
	if uncertain || !errors.Is(err, core.ErrNotHeld) {
		t.complete, t.inDoubt = err == nil, uncertain && !t.grip.Rejected()
	}
	return err
}

// awaitOutcome waits for a Complete that was cut off. The history shows by the fence whether it was
// applied, because another client may have deleted the tick's key before.
func (t *Tick) awaitOutcome(ctx context.Context) error {
	err := t.grip.Release(ctx)
	if errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	key := t.r.historyKey(t.state.Count)
	resp, failed := t.r.line.Session.Client().Get(ctx, key)
	if failed != nil {
		return fmt.Errorf("%w: %w", gateway.ErrUncertain, errors.Join(err, failed))
	}
	var rec Record
	if len(resp.KVs) > 0 && decode(key, string(resp.KVs[0].Value), &rec) == nil &&
		rec.Fence == t.Fence() {
		return t.ended(nil)
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, errors.Join(core.ErrNotHeld, err))
}

// record returns the record of an attempt that ends now.
func (t *Tick) record(ctx context.Context, failure string) Record {
	r := t.state.Running.Record
	r.Ended, r.Fence, r.Error = clock.Wall(ctx), t.Fence(), failure
	return r
}

// fail ends the attempt with an error, and the tick if no attempts are left.
func (t *Tick) fail(ctx context.Context, cause error) error {
	rec := t.record(ctx, text(cause))
	if rec.Attempt >= t.r.opt.MaxAttempts {
		return t.release(ctx, t.r.endOps(t.state, rec))
	}
	rec.Ended = time.Time{}
	return t.release(ctx, t.putAttempt(rec))
}

// stop gives the tick to another replica, because this one is stopped. The attempt does not count.
func (t *Tick) stop(ctx context.Context) error {
	rec := t.record(ctx, "")
	rec.Ended = time.Time{}
	rec.Attempt--
	return t.release(ctx, t.putAttempt(rec))
}

// putAttempt returns the operation that records how the attempt has ended.
func (t *Tick) putAttempt(r Record) []gateway.Op {
	st := t.state
	st.Running = &attempt{Record: r}
	return []gateway.Op{gateway.OpPut(t.r.key(stateSetting), encode(st))}
}

// release ends the attempt. If etcd rejects the operations, it deletes the key alone, so that the
// next replica takes the tick over.
func (t *Tick) release(ctx context.Context, ops []gateway.Op) error {
	ctx, cancel := context.WithTimeout(ctx, line.FinishTimeout)
	defer cancel()
	err := t.grip.ReleaseWith(ctx, core.ReleaseWrite{Then: ops})
	if err != nil && t.grip.Rejected() {
		err = errors.Join(err, t.grip.ReleaseWith(ctx, core.ReleaseWrite{}))
	}
	return err
}
