package semaphore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Semaphore names a semaphore. It is immutable and safe for concurrent use; making one does no I/O.
type Semaphore struct {
	line  line.Line
	limit int
}

// New names the semaphore that all sessions share under name, and declares its limit. Calls return
// [gateway.ErrInvalid] if the name or limit cannot be used.
func New(s *session.Session, name string, limit int) *Semaphore {
	l := line.Line{Session: core.Of(s), Name: name, Kind: "semaphore", Rule: admit}
	return &Semaphore{l, limit}
}

// Permit is a held share of a semaphore. See [session.Hold] for its context, fence and guard. It
// is safe for concurrent use.
type Permit struct {
	hold   *core.Hold
	grip   *core.Releaser
	sem    *Semaphore
	weight int
}

// Sentinels for [errors.Is].
var (
	// ErrFull is matched by the [*FullError] that [Semaphore.TryAcquire] returns when it would have
	// to wait.
	ErrFull = errors.New("full")
	// ErrLimitMismatch is returned when the semaphore was declared with another limit. The error
	// names both.
	ErrLimitMismatch = errors.New("limit mismatch")
	// ErrExceedsLimit is returned when the weight exceeds the current limit, see
	// [Semaphore.Resize].
	ErrExceedsLimit = errors.New("heavier than the current limit")
)

// FullError reports how full a semaphore is.
type FullError struct {
	Name    string
	Limit   int // the current one; 0 if there is none
	Used    int // by holders
	Waiting int // number of waiters
}

// Error names the semaphore and reports how full it is.
func (e *FullError) Error() string {
	return fmt.Sprintf("semaphore: try acquire %q: full: %d of %d used, %d waiting",
		e.Name, e.Used, e.Limit, e.Waiting)
}

// Is matches ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// Acquire waits until a permit of weight n is granted. It returns [ErrExceedsLimit] when n is more
// than the current limit, also when that changes during the wait; [ErrLimitMismatch] when the
// semaphore was declared with another limit; [gateway.ErrInvalid] when n is less than 1 or more
// than the declared limit; the context's error when ctx ends first; and [session.ErrLost] when the
// session ends or the waiter's key is deleted. After an error the caller does not hold the permit
// and never will from this call.
func (m *Semaphore) Acquire(ctx context.Context, n int) (*Permit, error) {
	return m.acquire(ctx, "acquire", m.line.Enter, n)
}

// TryAcquire acquires a permit of weight n if it fits and there is no waiter, and returns [ErrFull]
// otherwise. It never waits for others. Other errors are as for [Semaphore.Acquire].
func (m *Semaphore) TryAcquire(ctx context.Context, n int) (*Permit, error) {
	return m.acquire(ctx, "try acquire", m.line.Try, n)
}

func (m *Semaphore) acquire(
	ctx context.Context, verb string, join func(context.Context, line.Join) (line.Hold, error), n int,
) (*Permit, error) {
	if err := m.check(n); err != nil {
		return nil, m.wrap(verb, err)
	}
	declared, settings := m.declared()
	j := line.Join{
		Value: strconv.Itoa(n),
		If: []gateway.Cmp{
			declared,
			gateway.CmpCreateRevision(m.line.SettingKey(sizeSetting), gateway.Greater, 0),
		},
		Else:    settings,
		ReadAll: true,
		Abort: func(v line.Snapshot, _ line.Member) error {
			if _, ok := v.Settings[sizeSetting]; !ok {
				return errUndeclared
			}
			return cmp.Or(m.corrupt(v), tooHeavy(n, parse(v.Settings[sizeSetting])))
		},
	}
	for again := (line.Again{}); ; {
		h, err := join(ctx, j)
		if refused, ok := errors.AsType[*line.RefusedError](err); ok {
			if err = m.declare(ctx, refused.Responses); err == nil {
				err = errUndeclared
			}
		}
		if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
			now := occupied.Snapshot
			size, used, admitted := fill(now)
			if err = cmp.Or(m.corrupt(now), tooHeavy(n, size)); err == nil {
				return nil, &FullError{m.line.Name, size, used, len(now.Members) - admitted}
			}
		}
		switch {
		case err == nil:
			return &Permit{h.Hold, h.Grip, m, n}, nil
		case !errors.Is(err, errUndeclared):
			return nil, m.wrap(verb, err)
		}
		if err := again.Wait(ctx); err != nil {
			return nil, m.wrap(verb, err)
		}
	}
}

// errUndeclared: there was no limit, or it was deleted. Declare it and try again.
var errUndeclared = errors.New("no limit")

// corrupt returns an error for a current limit that is not a number, because no permit is granted
// until a Resize.
func (m *Semaphore) corrupt(v line.Snapshot) error {
	size, ok := v.Settings[sizeSetting]
	if !ok || parse(size) > 0 {
		return nil
	}
	return m.line.Corrupt(sizeSetting, size)
}

func tooHeavy(n, size int) error {
	if size == 0 || n <= size {
		return nil
	}
	return fmt.Errorf("%w: %d of %d", ErrExceedsLimit, n, size)
}

func (m *Semaphore) check(n int) error {
	switch {
	case m.limit <= 0:
		return fmt.Errorf("%w: a limit of %d", gateway.ErrInvalid, m.limit)
	case n <= 0 || n > m.limit:
		return fmt.Errorf("%w: a weight of %d, not between 1 and the limit of %d",
			gateway.ErrInvalid, n, m.limit)
	}
	return nil
}

// declared returns a compare that holds if the declared limit is this one, and reads of the
// settings for when it does not.
func (m *Semaphore) declared() (_ gateway.Cmp, settings []gateway.Op) {
	limit, size := m.line.SettingKey(limitSetting), m.line.SettingKey(sizeSetting)
	return gateway.CmpValue(limit, gateway.Equal, []byte(strconv.Itoa(m.limit))),
		[]gateway.Op{gateway.OpGet(limit), gateway.OpGet(size)}
}

// declare writes the settings that were not found. If they have changed since, it writes nothing,
// and the next compare fails.
func (m *Semaphore) declare(ctx context.Context, found []gateway.OpResponse) error {
	var w core.Write
	limit := []byte(strconv.Itoa(m.limit))
	for i, what := range []string{limitSetting, sizeSetting} {
		key, kvs := m.line.SettingKey(what), found[i].Get.KVs
		if len(kvs) == 0 {
			w.If = append(w.If, gateway.CmpCreateRevision(key, gateway.Equal, 0))
			w.Then = append(w.Then, gateway.OpPut(key, limit))
			continue
		}
		if what == limitSetting && string(kvs[0].Value) != string(limit) {
			if parse(string(kvs[0].Value)) == 0 {
				return fmt.Errorf("%w: %w", ErrLimitMismatch, m.line.Corrupt(what, string(kvs[0].Value)))
			}
			return fmt.Errorf("%w: declared as %s, here as %s", ErrLimitMismatch, kvs[0].Value, limit)
		}
		w.If = append(w.If, gateway.CmpModRevision(key, gateway.Equal, kvs[0].ModRevision))
	}
	if len(w.Then) == 0 {
		return nil
	}
	_, err := m.line.Session.Write(ctx, w)
	return err
}

// Resize changes the current limit for all users, until the next Resize. The declared limit does
// not change, and bounds the weight of a single permit. Resize revokes no permit. Calls that wait
// for more than the new limit return [ErrExceedsLimit].
//
// Resize returns [ErrLimitMismatch] when the semaphore was declared with another limit,
// [gateway.ErrInvalid] when limit is less than 1, [session.ErrLost] when the session ends, and the
// context's error when ctx ends first, with [gateway.ErrUncertain] if the limit may have changed.
func (m *Semaphore) Resize(ctx context.Context, limit int) error {
	err := cmp.Or(m.line.Session.CheckName(m.line.Name), m.check(1))
	if err == nil && limit <= 0 {
		err = fmt.Errorf("%w: a limit of %d", gateway.ErrInvalid, limit)
	}
	declared, settings := m.declared()
	for again := (line.Again{}); err == nil; {
		var resp *gateway.TxnResponse
		resp, err = m.line.Session.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{declared},
			Then: []gateway.Op{gateway.OpPut(m.line.SettingKey(sizeSetting), []byte(strconv.Itoa(limit)))},
			Else: settings,
		})
		switch {
		case err != nil:
		case resp.Succeeded:
			return nil
		case resp.Responses != nil: // nil if only the branch is known: read again
			err = m.declare(ctx, resp.Responses)
		}
		if err == nil {
			err = again.Wait(ctx)
		}
	}
	return m.wrap("resize", err)
}

// Weight returns the weight of the permit.
func (p *Permit) Weight() int { return p.weight }

// Release ends the permit and frees its units. The permit's context ends at once. Release returns
// [session.ErrNotHeld] when the permit was lost or released before. If ctx ends first it returns
// [gateway.ErrUncertain] and the context's error, and the session continues the release in the
// background; another Release waits for that. If ctx had ended before the call, Release has 1 s of
// its own. After any other error (etcd rejected the request) the permit counts until the session
// ends: call Release again.
func (p *Permit) Release(ctx context.Context) error {
	if err := p.grip.Release(ctx); err != nil {
		return p.sem.wrap("release", err)
	}
	return nil
}

// Do acquires a permit of weight n as [Semaphore.Acquire] does, runs fn, and releases the permit.
// The context of fn ends when ctx or the permit does. Do returns fn's error joined with the error
// of the permit, which matches [session.ErrLost] if the permit was lost before it was released.
//
// Do also releases the permit if fn panics or ends its goroutine, as [runtime.Goexit] does. It does
// not recover.
func (m *Semaphore) Do(
	ctx context.Context, n int, fn func(ctx context.Context, permit *Permit) error,
) (err error) {
	permit, err := m.Acquire(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Finish(ctx, permit.grip, permit.Release)) }()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(permit.Context(), func() { //nolint:contextcheck // the permit's own life
		cancel(context.Cause(permit.Context()))
	})()
	return fn(run, permit)
}

func (m *Semaphore) wrap(verb string, err error) error {
	return fmt.Errorf("semaphore: %s %q: %w", verb, m.line.Name, err)
}
