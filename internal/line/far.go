package line

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Waiting far back. If each client of a long line followed all of it, each change would be sent to
// all of them. So a member far back watches its predecessor, its own key, and the settings if its
// wait depends on them. If it is very far back, it does not watch its own key at first, and its
// watches begin at the revision of the join, need no read, and are patient.
//
// If the rule never admits a member beside its predecessor, the predecessor leaves when it is this
// member's turn. Otherwise a member is admitted when others leave, and that changes no key behind
// them. In an election, the candidate that is next has to see the priorities behind it. So the
// members of such lines note their admission: a member that was admitted after it had waited puts
// its key again, with the same value, if its successor may be far back and wait for that. A leader
// does so after noteDelay. If it leaves before, its successor reads the priorities then. The
// successor is the first that waits then, and follows the members ahead, in an election also those
// that may pass it, see next.go. A member that was admitted when it joined need not note that,
// because its successor joined later and read that it was admitted.

// errNear ends the wait of a member far back that has to follow the line.
var errNear = errors.New("no longer far back")

// farBack returns the answer to the join of a member that waits far back, see directWatchThreshold,
// and nil for any other. If the client already uses a mirror, one more waiter costs nothing.
func (l *Line) farBack(j Join, found joinAnswer) *joinAnswer {
	// The delay needs a mirror, because it runs from the time at which the mirror saw the holder
	// leave.
	far := (j.Exclusive || j.Notes) && l.Delay <= 0 && found.farBack()
	if !far || mirrors.InUse(l.mirrorID()) {
		return nil
	}
	return &found
}

// waitFarBack returns the member's note when the rule admits it, and errNear when it has to follow
// the line.
func (l *Line) waitFarBack(
	ctx context.Context, j Join, me Member, found joinAnswer,
) (note, error) {
	settings := l.watchSettings(j)
	defer settings.Close()
	var left *Member
	for joined := &found; ; joined = nil {
		p, err := l.pairOf(ctx, j, me, joined, left, settings)
		if err == nil && p.waits {
			err = l.awaitChange(ctx, p, settings)
		}
		first := errors.Is(err, errFirst)
		switch {
		case j.Yield && err == nil && p.left.Load(): // most likely a leader that has put no note
			first = true
			if err = settings.check(ctx, j, me); err == nil {
				err = l.waitNext(ctx, j, me, p.before, true)
			}
		case j.Yield && first:
			err = l.waitNext(ctx, j, me, p.before, p.before.Key == "")
		case first:
			err = l.waitFirst(ctx, j, me)
		}
		switch {
		case errors.Is(err, errBack):
		case errors.Is(err, errRemoved):
			return noNote, l.removed(ctx, me)
		case err != nil:
			return noNote, l.endCause(ctx, err)
		case first || !p.waits:
			return j.noteIf(j.Yield || p.lightFits), nil
		}
		// A member that must yield has already found that it is not the first.
		if left = nil; found.veryFarBack() && p.left.Load() && !j.Yield {
			left = &p.before
		}
	}
}

// pairOf returns a member and its predecessor, with a check of the settings. The pair does not wait
// when the rule admits the member. With errFirst, the pair has the predecessor if there is one.
// joined is as for undecided, and left as for [Line.lastKeys].
func (l *Line) pairOf(
	ctx context.Context, j Join, me Member, joined *joinAnswer, left *Member, settings *settingsWatch,
) (*pair, error) {
	past := joined != nil && joined.veryFarBack()
	p := &pair{me: me, changed: make(chan struct{}, 1)}
	var before *Member
	var err error
	if j.Notes {
		var v Snapshot
		if joined != nil && joined.mustLeave(l, j, me) {
			v, before = joined.settings, joined.before
		} else {
			v, before, err = l.undecided(ctx, j, me, joined, left != nil)
		}
		p.lightFits = bothFit(l.Rule, v.Settings, me, Member{Value: j.Lightest})
		if before != nil {
			p.before = *before
		}
		if before == nil || err != nil {
			return p, err // a member that is admitted at once needs no watch
		}
		p.read = v.Revision
		if p.seen = v.Revision; past {
			settings.startAt(v)
		}
	}
	if err := settings.check(ctx, j, me); err != nil {
		return p, err
	}
	switch {
	case j.Notes:
	case joined != nil && joined.before != nil:
		before, p.seen = joined.before, joined.revision
	default:
		before, p.seen, err = l.predecessor(ctx, me, left)
	}
	if before == nil || err != nil {
		return p, err
	}
	if p.before, p.waits = *before, true; !past {
		p.seen = 0
	}
	return p, nil
}

// note is when a member notes its admission.
type note int

const (
	noNote note = iota
	noteNow
	noteLater // after noteDelay
)

// noteIf returns the note of a member whose successor may wait for it. A successor that must yield
// is not admitted beside the member.
func (j Join) noteIf(waitedFor bool) note {
	switch {
	case !j.Notes || !waitedFor:
		return noNote
	case j.Yield:
		return noteLater
	}
	return noteNow
}

// note notes the admission of a member.
func (l *Line) note(h *core.Hold, a admitted) {
	switch a.note {
	case noteNow:
		l.putNote(a.Member)
	case noteLater:
		time.AfterFunc(noteDelay, func() {
			if h.Err() == nil {
				l.putNote(a.Member)
			}
		})
	case noNote:
	}
}

// putNote puts the key of an admitted member again, so that its successor is notified. The session
// does that in the background, as soon as etcd's database has space, so that the member need not
// wait for it. It puts nothing if the key is gone, or the value has changed since, because both
// notify the successor too.
func (l *Line) putNote(me Member) {
	put := gateway.OpPut(me.Key, []byte(me.Value), gateway.WithLease(l.Session.Lease()))
	same := gateway.Txn{
		If: []gateway.Cmp{
			gateway.CmpCreateRevision(me.Key, gateway.Equal, me.Fence),
			gateway.CmpValue(me.Key, gateway.Equal, []byte(me.Value)),
		},
		Then: []gateway.Op{put},
	}
	l.Session.Compensate(core.Write{
		Compensation: func() []gateway.Op { return []gateway.Op{gateway.OpTxn(same)} },
	})
}
