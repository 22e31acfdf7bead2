package election

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// A step-down for a candidate that is not next does not change the order of the line, because the
// order keeps two candidates from leading. The leader names its heir, the candidates ahead of the
// heir leave and join again behind it, and the leader resigns when no candidate is in between. The
// name is a key under the leader's lease, and is deleted with it.

// heir is the setting of the line that names a candidate by its fence.
const heir = "heir"

// ErrNoCandidate is returned by [Term.TransferTo] when the candidate no longer waits.
var ErrNoCandidate = errors.New("no such candidate")

var errAside = errors.New("stepping aside")

// aside ends the wait of a candidate ahead of the heir, or of a higher priority.
func aside(v line.Snapshot, me line.Member) error {
	fence, err := strconv.ParseInt(v.Settings[heir], 10, 64)
	// Without this check, each candidate would step aside again and again.
	waits := func(m line.Member) bool { return m.Fence == fence }
	if err == nil && slices.ContainsFunc(v.Members, waits) {
		if me.Fence < fence {
			return errAside
		}
		return nil // the heir leads next, also if another has a higher priority
	}
	if outranked(v, me) {
		return &outrankedError{rankOf(me)}
	}
	return nil
}

// TransferTo hands over to a chosen candidate, one of [Election.Candidates]. The candidates ahead
// of it move to the end of the line, then the term ends as by [Term.Resign]. Candidates of other
// libraries do not move, and TransferTo waits while one of them is ahead. It returns
// [ErrNoCandidate] when the candidate does not wait, and the context's error when ctx ends first;
// in both cases the term continues, unless the final release had begun (see [Term.Resign]). It
// returns [session.ErrNotHeld] when the term was lost. If the candidate leaves at the last moment,
// the next in line leads. If a candidate with a higher priority waits, it leads instead. So does
// one with the same priority that came first and has let a higher one pass.
func (t *Term) TransferTo(ctx context.Context, to Candidate) error {
	err := t.transferTo(ctx, to)
	lost := errors.Is(err, session.ErrLost) && t.Err() != nil // else ctx ended with another hold
	if lost && !errors.Is(err, session.ErrNotHeld) {
		err = line.NotHeld(err)
	}
	return t.line.Wrap("transfer", err)
}

func (t *Term) transferTo(ctx context.Context, to Candidate) error {
	if err := t.take(ctx, t.down); err != nil {
		return err
	}
	s, key := t.line.Session, t.line.SettingKey(heir)
	undo := core.Write{Compensation: core.Deletion(key), OnResolved: func() { <-t.down }}
	name := undo
	name.If = []gateway.Cmp{t.Guard(), gateway.CmpCreateRevision(to.Key, gateway.Equal, to.Fence)}
	heir := strconv.FormatInt(to.Fence, 10)
	name.Then = []gateway.Op{gateway.OpPut(key, []byte(heir), gateway.WithLease(s.Lease()))}
	out, err := s.Write(ctx, name)
	switch {
	case errors.Is(err, gateway.ErrUncertain):
		return err
	case err != nil:
		<-t.down
		return err
	}
	if err = t.awaitNext(ctx, to, out); err == nil {
		_, err = s.Write(ctx, core.Write{Then: undo.Compensation()})
	}
	if err != nil {
		s.Compensate(undo)
		return err
	}
	return t.hold.Grip.Release(ctx)
}

// awaitNext returns when no candidate is between the leader and its heir.
func (t *Term) awaitNext(ctx context.Context, to Candidate, named core.Outcome) error {
	if !named.Applied {
		v, err := t.line.Read(ctx)
		if err == nil {
			_, err = t.isNext(v, to)
		}
		if err == nil { // it joined after the compare
			err = ErrNoCandidate
		}
		return err
	}
	for v, err := range t.line.Follow(ctx) {
		if err != nil {
			return err
		}
		if v.Revision < named.Revision {
			continue
		}
		if next, err := t.isNext(v, to); next || err != nil {
			return err
		}
	}
	return nil
}

func (t *Term) isNext(v line.Snapshot, to Candidate) (bool, error) {
	i := slices.IndexFunc(v.Members, func(m line.Member) bool {
		return m.Key == to.Key && m.Fence == to.Fence
	})
	switch {
	case len(v.Members) == 0 || v.Members[0].Fence != t.Fence():
		return false, session.ErrNotHeld
	case i <= 0:
		return false, ErrNoCandidate
	}
	return i == 1, nil
}
