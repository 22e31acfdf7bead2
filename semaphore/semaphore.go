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

// Semaphore names a semaphore. It is immutable, and making one does no I/O.
type Semaphore struct {
	line  line.Line
	limit int
}

// New names the semaphore that all sessions share under name, and declares its limit.
func New(s *session.Session, name string, limit int, opts *Options) *Semaphore {
	l := line.Line{Session: core.Of(s), Name: name, Kind: "semaphore", Rule: admit}
	if opts != nil {
		l.MaxHold = opts.MaxHold
	}
	return &Semaphore{l, limit}
}

// Permit is a held share of a semaphore. [session.Hold] documents its methods.
type Permit struct {
	hold   line.Hold
	sem    *Semaphore
	weight int
}

// Sentinels for [errors.Is].
var (
	// ErrFull is matched by the [*FullError] that [Semaphore.TryAcquire] returns.
	ErrFull = errors.New("full")
	// ErrLimitMismatch: the semaphore was declared with another limit. The error names both.
	ErrLimitMismatch = errors.New("limit mismatch")
	// ErrExceedsLimit: the weight exceeds the current limit, see [Semaphore.Resize].
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
// than the current limit, also when that changes during the wait, and [gateway.ErrInvalid] when n
// is less than 1 or more than the declared limit. After an error the caller does not hold the
// permit and never will from this call.
func (m *Semaphore) Acquire(ctx context.Context, n int) (*Permit, error) {
	return m.acquire(ctx, "acquire", m.line.Enter, n)
}

// TryAcquire acquires a permit of weight n if it fits and there is no waiter, and returns [ErrFull]
// otherwise. It never waits for others. Other errors are as for [Semaphore.Acquire].
func (m *Semaphore) TryAcquire(ctx context.Context, n int) (*Permit, error) {
	return m.acquire(ctx, "try acquire", m.line.Try, n)
}

func (m *Semaphore) acquire(
	ctx context.Context, verb string, enter func(context.Context, line.Join) (line.Hold, error),
	n int,
) (*Permit, error) {
	if err := m.check(n); err != nil {
		return nil, m.line.Wrap(verb, err)
	}
	var h line.Hold
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
				return &line.RefusedError{} // it was deleted: declare it again
			}
			return cmp.Or(m.corrupt(v), tooHeavy(n, parse(v.Settings[sizeSetting])))
		},
		AbortsBySettings: true,
		Notes:            true,
		Lightest:         "1",
		Most:             m.limit,
	}
	err := line.Declaring(ctx, m.declare, func() (err error) {
		h, err = enter(ctx, j)
		return err
	})
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		now := occupied.Snapshot
		size, used, admitted := fill(now)
		if err = cmp.Or(m.corrupt(now), tooHeavy(n, size)); err == nil {
			return nil, &FullError{m.line.Name, size, used, len(now.Members) - admitted}
		}
	}
	if err != nil {
		return nil, m.line.Wrap(verb, err)
	}
	return &Permit{h, m, n}, nil
}

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
				corrupt := m.line.Corrupt(what, string(kvs[0].Value))
				return fmt.Errorf("%w: %w", ErrLimitMismatch, corrupt)
			}
			return fmt.Errorf(
				"%w: declared as %s, here as %s", ErrLimitMismatch, kvs[0].Value, limit)
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
// Resize returns [gateway.ErrInvalid] when limit is less than 1. After [gateway.ErrUncertain] the
// limit may have changed.
func (m *Semaphore) Resize(ctx context.Context, limit int) error {
	err := cmp.Or(m.line.Session.CheckName(m.line.Name), m.check(1))
	if err == nil && limit <= 0 {
		err = fmt.Errorf("%w: a limit of %d", gateway.ErrInvalid, limit)
	}
	if err == nil {
		declared, settings := m.declared()
		size := gateway.OpPut(m.line.SettingKey(sizeSetting), []byte(strconv.Itoa(limit)))
		err = m.line.DeclaringTxn(ctx, m.declare, gateway.Txn{
			If: []gateway.Cmp{declared}, Then: []gateway.Op{size}, Else: settings,
		})
	}
	return m.line.Wrap("resize", err)
}

// Weight returns the weight of the permit.
func (p *Permit) Weight() int { return p.weight }

// Release ends the permit and frees its units. It returns [session.ErrNotHeld] when the permit was
// lost or released before. See [session.Hold] for a Release that is cut off or fails.
func (p *Permit) Release(ctx context.Context) error {
	return p.sem.line.Wrap("release", p.hold.Grip.Release(ctx))
}
