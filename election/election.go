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

// Election names an election. It is immutable, and making one does no I/O.
type Election struct {
	line line.Line
	opts Options
}

// New names the election that all sessions share under name.
func New(s *session.Session, name string, opts *Options) *Election {
	e := &Election{line: line.Line{
		Session: core.Of(s), Name: name, Kind: "election", Rule: line.Exclusive, Slash: true,
	}}
	if opts != nil {
		e.opts = *opts
		e.line.Delay, e.line.MaxHold = opts.LockDelay, opts.MaxHold
	}
	return e
}

// Term is a leadership. [session.Hold] documents its methods.
type Term struct {
	hold line.Hold
	line *line.Line
	turn chan struct{} // full while copies of a Proclaim may be under way
	down chan struct{} // full while the heir of a TransferTo may still be named

	higher *Candidate // that has pre-empted the term, see Options.Preempt
}

// Campaign waits until this candidate leads, and shows value to observers. After an error the
// caller does not lead and never will from this call.
func (e *Election) Campaign(ctx context.Context, value string) (*Term, error) {
	t, err := e.campaign(ctx, value, rank{priority: e.opts.Priority})
	return t, e.line.Wrap("campaign", err)
}

// campaign is Campaign with the rank of the first join.
func (e *Election) campaign(ctx context.Context, value string, as rank) (*Term, error) {
	if err := e.checkPriority(); err != nil {
		return nil, err
	}
	for again := (line.Again{}); ; {
		err := e.awaitReady(ctx)
		if err != nil {
			return nil, err
		}
		join := line.Join{
			Value: value, Abort: aside, Yield: true, Notes: true, Most: 1, Mark: as.mark(),
		}
		h, err := e.line.Enter(ctx, join)
		outranked, isOutranked := errors.AsType[*outrankedError](err)
		switch {
		case err == nil && e.readyToLead(ctx, h):
			return e.term(h), nil
		case err == nil:
			// The next candidate leads. A release that failed continues in the background.
			_ = line.Finish(ctx, h.Grip, h.Grip.Release)
			as.since = 0
		case isOutranked:
			as.since = outranked.since
		case errors.Is(err, errAside):
			as.since = 0 // the candidates ahead of an heir move to the end
		default:
			return nil, err
		}
		if err := again.Wait(ctx); err != nil {
			return nil, err
		}
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
// never waits for others, except for a delay (see [Options]).
func (e *Election) TryCampaign(ctx context.Context, value string) (*Term, error) {
	if err := e.checkPriority(); err != nil {
		return nil, e.line.Wrap("try campaign", err)
	}
	mark := rank{priority: e.opts.Priority}.mark()
	h, err := e.line.Try(ctx, line.Join{Value: value, Mark: mark})
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		first := occupied.Snapshot.Members[0]
		return nil, &TakenError{e.line.Name, first.Key, first.Lease(), first.Fence, first.Value}
	}
	if err != nil {
		return nil, e.line.Wrap("try campaign", err)
	}
	return e.term(h), nil
}

func (e *Election) term(h line.Hold) *Term {
	return &Term{
		hold: h, line: &e.line, turn: make(chan struct{}, 1), down: make(chan struct{}, 1),
	}
}

// Proclaim shows another value to observers. It returns [session.ErrNotHeld] when the term is over,
// and never changes the value of a later leader. After [gateway.ErrUncertain] the value may change
// until the session has resolved that. The next Proclaim waits until then, so that the last one
// counts.
func (t *Term) Proclaim(ctx context.Context, value string) error {
	err := t.take(ctx, t.turn)
	if err == nil {
		next := func() { <-t.turn }
		err = t.line.PutValue(ctx, t.hold, value, next)
		if !errors.Is(err, gateway.ErrUncertain) {
			next()
		}
	}
	return t.line.Wrap("proclaim", err)
}

// take waits for a turn until the term or ctx ends.
func (t *Term) take(ctx context.Context, turn chan struct{}) error {
	if err := t.Err(); err != nil { // looks at the clock
		return line.NotHeld(err)
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-t.Context().Done():
		return line.NotHeld(t.Err())
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// Resign ends the term, and the next candidate leads after one round trip. It returns
// [session.ErrNotHeld] when the term was over before. See [session.Hold] for a Resign that is cut
// off or fails.
func (t *Term) Resign(ctx context.Context) error {
	return t.line.Wrap("resign", t.hold.Grip.Release(ctx))
}
