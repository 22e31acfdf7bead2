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

// New names the semaphore that all sessions share under name, and declares its limit. What cannot be used is reported by
// the first call.
func New(s *session.Session, name string, limit int) *Semaphore {
	return &Semaphore{line.Line{Session: core.Of(s), Name: name, Kind: "semaphore", Rule: admit}, limit}
}

// Permit is a share of a semaphore that is held. See [session.Hold] for what it offers.
type Permit struct {
	hold   *core.Hold
	grip   *core.Releaser
	sem    *Semaphore
	weight int
}

// Sentinels for [errors.Is].
var (
	// ErrFull: a [Semaphore.TryAcquire] would have to wait. The error is a [*FullError].
	ErrFull = errors.New("full")
	// ErrLimitMismatch: the semaphore was declared with another limit than here. The error names both.
	ErrLimitMismatch = errors.New("limit mismatch")
	// ErrExceedsLimit: more was asked for than the current limit, see [Semaphore.Resize].
	ErrExceedsLimit = errors.New("heavier than the current limit")
)

// FullError tells what stands in the way of a permit.
type FullError struct {
	Name    string
	Limit   int // the current one; 0 if it is not a number
	Used    int // by holders
	Waiting int // how many wait
}

// Error names the semaphore and tells how full it is.
func (e *FullError) Error() string {
	return fmt.Sprintf("semaphore: try acquire %q: full: %d of %d used, %d waiting", e.Name, e.Used, e.Limit, e.Waiting)
}

// Is matches ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// Acquire waits until a permit of weight n is granted. If it fails, because ctx ended or the session was lost, the caller
// does not hold the permit and never will from this call. It is [ErrExceedsLimit] as soon as n is more than the current
// limit, also while it waits; [gateway.ErrInvalid] if n is less than 1 or more than the limit declared.
func (m *Semaphore) Acquire(ctx context.Context, n int) (*Permit, error) {
	return m.acquire(ctx, "acquire", m.line.Enter, n)
}

// TryAcquire takes a permit of weight n if it fits and nobody waits, and is ErrFull otherwise. It never waits for others.
func (m *Semaphore) TryAcquire(ctx context.Context, n int) (*Permit, error) {
	return m.acquire(ctx, "try acquire", m.line.Try, n)
}

func (m *Semaphore) acquire(ctx context.Context, verb string, join func(context.Context, line.Join) (line.Hold, error), n int) (*Permit, error) {
	if err := m.check(n); err != nil {
		return nil, m.wrap(verb, err)
	}
	declared, settings := m.declared()
	j := line.Join{
		Value: strconv.Itoa(n),
		If:    []gateway.Cmp{declared, gateway.CmpCreateRevision(m.line.SettingKey(sizeSetting), gateway.Greater, 0)},
		Else:  settings,
		Whole: true,
		Hopeless: func(v line.Snapshot) error {
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
			size, used, admitted := fill(occupied.View)
			if err = cmp.Or(m.corrupt(occupied.View), tooHeavy(n, size)); err == nil {
				return nil, &FullError{m.line.Name, size, used, len(occupied.View.Members) - admitted}
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

// errUndeclared: there was no limit, or it was deleted. Go again.
var errUndeclared = errors.New("no limit")

// corrupt tells of a current limit that is no number: it would admit none, for ever. Resize writes another.
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
		return fmt.Errorf("%w: a weight of %d, not between 1 and the limit of %d", gateway.ErrInvalid, n, m.limit)
	}
	return nil
}

// declared holds where the limit is this one. settings are read where it does not hold.
func (m *Semaphore) declared() (_ gateway.Cmp, settings []gateway.Op) {
	limit, size := m.line.SettingKey(limitSetting), m.line.SettingKey(sizeSetting)
	return gateway.CmpValue(limit, gateway.Equal, []byte(strconv.Itoa(m.limit))), []gateway.Op{gateway.OpGet(limit), gateway.OpGet(size)}
}

// declare writes those of the settings that were not found. If they have changed since, or somebody else is quicker,
// nothing is written, and the next compare tells.
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

// Resize changes the current limit, for everybody, until the next Resize. The limit declared stays what it is, and bounds
// what a single permit may weigh. No permit is taken away. Waiters heavier than the new limit get [ErrExceedsLimit]. If
// the error is [gateway.ErrUncertain] the limit may have changed.
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
		case resp.Responses != nil: // else only the branch is known: look again
			err = m.declare(ctx, resp.Responses)
		}
		if err == nil {
			err = again.Wait(ctx)
		}
	}
	return m.wrap("resize", err)
}

// Weight is the weight of the permit.
func (p *Permit) Weight() int { return p.weight }

// Release gives the permit back: its context ends at once. It is [session.ErrNotHeld] if the permit was lost or released
// before. If ctx ends first Release returns [gateway.ErrUncertain] and the context's error, and the session goes on with it;
// another Release waits for that. If ctx has ended before the call, Release has 1 s of its own. After any other error, a
// refusal, the key is still there and counts, as long as the session: call Release again.
func (p *Permit) Release(ctx context.Context) error {
	if err := p.grip.Release(ctx); err != nil {
		return p.sem.wrap("release", err)
	}
	return nil
}

// Do runs fn with a permit of weight n. The context of fn ends with ctx, and with the permit. Do returns fn's error joined
// with what went wrong with the permit: [session.ErrLost] if it was lost before fn returned.
//
// If fn panics or ends its goroutine, as [runtime.Goexit] does, the permit is released all the same. Do does not recover.
func (m *Semaphore) Do(ctx context.Context, n int, fn func(ctx context.Context, permit *Permit) error) (err error) {
	permit, err := m.Acquire(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Finish(ctx, permit.grip, permit.Release)) }()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(permit.Context(), func() { cancel(context.Cause(permit.Context())) })() //nolint:contextcheck // it only reads why the permit ended
	return fn(run, permit)
}

func (m *Semaphore) wrap(verb string, err error) error {
	return fmt.Errorf("semaphore: %s %q: %w", verb, m.line.Name, err)
}
