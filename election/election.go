package election

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Election names an election. It is immutable and safe for concurrent use; making one does no I/O.
type Election struct {
	line line.Line
}

// New names the election that all sessions share under name. Calls return [gateway.ErrInvalid] if
// the name cannot be used.
func New(s *session.Session, name string, opts *Options) *Election {
	e := &Election{line.Line{
		Session: core.Of(s), Name: name, Kind: "election", Rule: line.Exclusive, Slash: true,
	}}
	if opts != nil {
		e.line.Delay = opts.LockDelay
	}
	return e
}

// Term is a leadership. See [session.Hold] for its context, fence and guard. It is safe for
// concurrent use.
type Term struct {
	hold *core.Hold
	grip *core.Releaser
	line *line.Line
	turn chan struct{} // full while copies of a Proclaim may be under way
	down chan struct{} // full while the heir of a TransferTo may still be named
}

// Campaign waits until this candidate leads, and shows value to observers. It returns the context's
// error when ctx ends first, and [session.ErrLost] when the session ends or the candidate's key is
// deleted. After an error the caller does not lead and never will from this call.
func (e *Election) Campaign(ctx context.Context, value string) (*Term, error) {
	for again := (line.Again{}); ; {
		h, err := e.line.Enter(ctx, line.Join{Value: value, Abort: aside})
		if errors.Is(err, errAside) {
			if err = again.Wait(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, e.wrap("campaign", err)
		}
		return e.term(h), nil
	}
}

// ErrTaken is matched by the [*TakenError] that [Election.TryCampaign] returns.
var ErrTaken = errors.New("taken")

// TakenError names the first candidate of an election: the leader, or the next one.
type TakenError struct {
	Name  string
	Key   string          // the candidate's key
	Lease gateway.LeaseID // of the candidate's session
	Fence int64
	Value string // the value that the candidate shows
}

// Error names the election and the candidate's key.
func (e *TakenError) Error() string {
	return fmt.Sprintf("election: try campaign %q: taken by %s", e.Name, e.Key)
}

// Is matches ErrTaken.
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// TryCampaign leads if there is no leader and no candidate, and returns [ErrTaken] otherwise. It
// never waits for others, except for a delay (see [Options]). Other errors are as for
// [Election.Campaign].
func (e *Election) TryCampaign(ctx context.Context, value string) (*Term, error) {
	h, err := e.line.Try(ctx, line.Join{Value: value})
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		first := occupied.Snapshot.Members[0]
		return nil, &TakenError{e.line.Name, first.Key, first.Lease(), first.Fence, first.Value}
	}
	if err != nil {
		return nil, e.wrap("try campaign", err)
	}
	return e.term(h), nil
}

func (e *Election) term(h line.Hold) *Term {
	return &Term{h.Hold, h.Grip, &e.line, make(chan struct{}, 1), make(chan struct{}, 1)}
}

// Proclaim shows another value to observers. It returns [session.ErrNotHeld] when the term is over,
// and never changes the value of a later leader. If ctx ends first it returns the context's error,
// with [gateway.ErrUncertain] if the request was sent; the value may change until the session has
// resolved that. The next Proclaim waits until then, so that the last one counts.
func (t *Term) Proclaim(ctx context.Context, value string) error {
	if err := t.proclaim(ctx, value); err != nil {
		return fmt.Errorf("election: proclaim %q: %w", t.line.Name, err)
	}
	return nil
}

func (t *Term) proclaim(ctx context.Context, value string) error {
	if err := t.take(ctx, t.turn); err != nil {
		return err
	}
	next := func() { <-t.turn }
	out, err := t.line.Session.Write(ctx, core.Write{
		If: []gateway.Cmp{t.Guard()},
		Then: []gateway.Op{
			gateway.OpPut(t.Key(), []byte(value), gateway.WithLease(t.line.Session.Lease())),
		},
		OnResolved: next,
	})
	if !errors.Is(err, gateway.ErrUncertain) {
		next()
	}
	switch {
	case errors.Is(err, session.ErrLost):
		return notHeld(err)
	case err != nil:
		return err
	case !out.Applied:
		return session.ErrNotHeld
	}
	return nil
}

// take waits for a turn until the term or ctx ends.
func (t *Term) take(ctx context.Context, turn chan struct{}) error {
	if err := t.Err(); err != nil { // looks at the clock
		return notHeld(err)
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-t.Context().Done():
		return notHeld(t.Err())
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

func notHeld(why error) error { return fmt.Errorf("%w: %w", session.ErrNotHeld, why) }

// Resign ends the term. The term's context ends at once, and the next candidate leads after one
// round trip. Resign returns [session.ErrNotHeld] when the term was over before. If ctx ends first
// it returns [gateway.ErrUncertain] and the context's error, and the session continues in the
// background; another Resign waits for that. If ctx had ended before the call, Resign has 1 s of
// its own. After any other error (etcd rejected the request) the key shows a leader until the
// session ends: call Resign again.
func (t *Term) Resign(ctx context.Context) error {
	if err := t.grip.Release(ctx); err != nil {
		return fmt.Errorf("election: resign %q: %w", t.line.Name, err)
	}
	return nil
}

func (e *Election) wrap(verb string, err error) error {
	return fmt.Errorf("election: %s %q: %w", verb, e.line.Name, err)
}
