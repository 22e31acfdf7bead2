package line

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// OccupiedError is returned by [Line.Try] when the rule would not have admitted the member.
type OccupiedError struct {
	Snapshot Snapshot // the line, or its front, as Try read it
}

func (e *OccupiedError) Error() string {
	if len(e.Snapshot.Members) == 0 {
		return "not admitted"
	}
	return "held under " + e.Snapshot.Members[0].Key
}

// Try joins the line if the rule admits the new member at once, and returns its hold. Joining a
// line without members and settings takes one transaction.
//
// Returns an [*OccupiedError] when the rule does not admit the member, a [*RefusedError] when j.If
// does not hold, and else the errors of [Line.Enter]. If the rule does not admit the member, Try
// has written nothing, unless the line changed during each of its attempts. After an error, a key
// that it may have written is removed in the background. Try does not wait for other members, but
// it waits while the session is suspect and during the lock delay.
func (l *Line) Try(ctx context.Context, j Join) (Hold, error) {
	asked := time.Now()
	if err := l.Check(ctx); err != nil {
		return Hold{}, err
	}
	core.AwaitDeferred(ctx, l.Session, l.prefix())
	key, _, free := l.reserveKey(j)
	still := []gateway.Cmp{gateway.CmpCreateRevision(l.prefix(), gateway.Equal, 0).Prefix()}
	for range tries {
		me, v, err := l.try(ctx, j, key, free, still)
		switch {
		case errors.Is(err, gateway.ErrUncertain):
			return Hold{}, err
		case err != nil:
			free()
			return Hold{}, err
		case me != nil:
			return l.admit(ctx, asked, admitted{Member: *me, free: free})
		case !l.admits(v, j):
			free()
			return Hold{}, &OccupiedError{v}
		}
		// The keys read do not keep the member out: some may belong to other lines, as "a/b" below
		// "a". That stays true if no key was created and no setting was put since.
		still = []gateway.Cmp{
			gateway.CmpCreateRevision(l.prefix(), gateway.Less, v.Revision+1).Prefix(),
			l.SameSettings(v),
		}
	}
	// The line changes too often: join it to find the member's place, and leave if that is behind.
	me, _, err := l.join(ctx, j, key, 0, free)
	if err != nil {
		return Hold{}, err
	}
	a := admitted{Member: me, free: free}
	if a.admission, err = l.look(ctx, j, me); err != nil {
		l.abandon(me, free)
		return Hold{}, err
	}
	return l.admit(ctx, asked, a)
}

// admits reports whether the rule would admit one more member.
func (l *Line) admits(v Snapshot, j Join) bool {
	v.Members = append(slices.Clip(v.Members), Member{Value: j.Value})
	return l.Rule(v) == len(v.Members)
}

// front reads the oldest keys of the line; all of them if there is no limit.
func (l *Line) front(limit int64) gateway.Op {
	return gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.Limit(limit),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Ascend))
}

// try returns the new member, or nil and the line as it was read.
func (l *Line) try(
	ctx context.Context, j Join, key string, free func(), still []gateway.Cmp,
) (me *Member, v Snapshot, _ error) {
	limit := int64(frontKeys)
	if j.ReadAll {
		limit = 0
	}
	w := core.Write{
		If: append(still, j.If...),
		Then: []gateway.Op{
			gateway.OpPut(key, []byte(j.Value), gateway.WithLease(l.Session.Lease())),
		},
		Else: []gateway.Op{
			l.front(limit),
			gateway.OpGet(key, gateway.KeysOnly()),
		},
		Compensation: core.Deletion(key),
		OnResolved:   free,
	}
	if len(j.If) > 0 { // to find out which of the comparisons failed
		w.Else = append(w.Else, gateway.OpTxn(gateway.Txn{If: j.If, Else: j.Else}))
	}
	out, err := l.Session.Write(ctx, w)
	if err != nil {
		return nil, Snapshot{}, err
	}
	if out.Applied {
		return &Member{key, out.Revision, j.Value}, Snapshot{}, nil
	}
	front, own := out.Responses[0].Get, out.Responses[1].Get
	if len(own.KVs) == 1 { // put by an earlier try whose answer was lost
		return &Member{key, own.KVs[0].CreateRevision, j.Value}, Snapshot{}, nil
	}
	if len(j.If) > 0 && !out.Responses[2].Txn.Succeeded {
		return nil, Snapshot{}, &RefusedError{out.Responses[2].Txn.Responses}
	}
	front.Revision = out.Revision // the nested answer leaves its revision out, which is the same
	v = snapshotOf(front, l.prefix())
	if front.More && (len(v.Members) == 0 || l.admits(v, j)) {
		v, err = l.Now(ctx)
	}
	return nil, v, err
}

// look returns how the rule admits a member that has joined, or the reason why it does not.
func (l *Line) look(ctx context.Context, j Join, me Member) (admission, error) {
	v, err := l.Now(ctx)
	if err != nil {
		return admission{}, err
	}
	i := slices.IndexFunc(v.Members, me.is)
	switch {
	case i < 0:
		return admission{}, errRemoved
	case i >= l.Rule(v):
		return admission{}, &OccupiedError{v}
	}
	return admission{note: j.noteIf(i+1 < len(v.Members))}, nil
}
