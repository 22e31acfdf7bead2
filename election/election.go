package election

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Election names an election. It is immutable and safe for concurrent use; making one does no I/O.
type Election struct {
	line line.Line
}

// New names the election that all sessions share under name. A name that cannot be used is reported by the first call.
func New(s *session.Session, name string) *Election {
	return &Election{line.Line{Session: s, Name: name, Kind: "election", Rule: line.Exclusive, Slash: true}}
}

// WithDelay gives the same election with a delay: after a leader that did not resign, a dead or lost one, the next waits
// this long from the moment it saw the place become free. With a delay of at least the time to live of all sessions, two
// terms do not overlap even where etcd takes a lease away too early. All candidates must set the same. To others the
// next leader is visible while it waits. While etcd's database is full, it waits until there is space.
func (e *Election) WithDelay(d time.Duration) *Election {
	c := *e
	c.line.Delay = d
	return &c
}

// Term is a leadership. See [session.Hold] for what it offers.
type Term struct {
	*session.Hold
	grip *session.Releaser
	line *line.Line
	turn chan struct{} // held by the Proclaim of which copies may be under way
	down chan struct{} // held by the TransferTo of which the heir may still be named
}

// Campaign waits until it is this candidate's turn to lead, and shows value to all who look. If it fails, because ctx
// ended, the session was lost or somebody removed the candidate, the caller does not lead and never will from this call.
func (e *Election) Campaign(ctx context.Context, value string) (*Term, error) {
	for again := (line.Again{}); ; {
		h, err := e.line.Enter(ctx, line.Join{Value: value, Aside: aside})
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

// ErrTaken is the error of a [Election.TryCampaign] that found a leader or a candidate. The error is a [*TakenError].
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

// TryCampaign leads if nobody leads and nobody is a candidate, and returns [ErrTaken] otherwise. It never waits for others,
// save for a delay that is set (see [Election.WithDelay]). After any error the caller does not lead, and never will from this
// call.
func (e *Election) TryCampaign(ctx context.Context, value string) (*Term, error) {
	h, err := e.line.Try(ctx, line.Join{Value: value})
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		first := occupied.View.Members[0]
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

// Proclaim shows another value. It is [session.ErrNotHeld] if the term is over; what a later leader shows is never
// changed. If ctx ends first it may be [gateway.ErrUncertain]: the value may have been changed, or may be in a moment. The
// next Proclaim waits until that is over, so that the last one counts.
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
	out, err := t.line.Session.Write(ctx, session.Write{
		If:         []gateway.Cmp{t.Guard()},
		Then:       []gateway.Op{gateway.OpPut(t.Key(), []byte(value), gateway.WithLease(t.line.Session.Lease()))},
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

// take waits for a turn as long as the term lasts.
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

// Resign ends the term: its context ends at once, the next candidate leads after one round trip. It is
// [session.ErrNotHeld] if the term was over before. If ctx ends first Resign returns
// [gateway.ErrUncertain] and the context's error, and the session goes on with it; another Resign waits for that. If ctx
// has ended before the call, Resign has 1 s of its own. After any other error, a refusal, the key is still there and shows
// a leader, as long as the session: call Resign again.
func (t *Term) Resign(ctx context.Context) error {
	if err := t.grip.Release(ctx); err != nil {
		return fmt.Errorf("election: resign %q: %w", t.line.Name, err)
	}
	return nil
}

func (e *Election) wrap(verb string, err error) error {
	return fmt.Errorf("election: %s %q: %w", verb, e.line.Name, err)
}
