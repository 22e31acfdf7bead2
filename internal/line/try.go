package line

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// OccupiedError is why [Line.Try] did not join: the rule would not have admitted the member.
type OccupiedError struct {
	View Snapshot // what stood in the way; perhaps not all of it
}

func (e *OccupiedError) Error() string {
	if len(e.View.Members) == 0 {
		return "not admitted"
	}
	return "held under " + e.View.Members[0].Key
}

const (
	// tryLook is how many keys a failed try looks at; more only where other lines lie below this one.
	tryLook = 8
	// tries is how often a try is repeated when the line changes under it.
	tries = 3
)

// Try joins the line if the rule admits the new member at once. Else it is an [*OccupiedError], or a [*RefusedError], and
// nothing was written but by a try that found the line changing too fast. An empty line takes one transaction.
func (l *Line) Try(ctx context.Context, j Join) (Hold, error) {
	asked := time.Now()
	if err := l.Check(ctx); err != nil {
		return Hold{}, err
	}
	key, _, free := l.Session.ReserveKey(l.Name)
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
			return l.admit(ctx, asked, *me, nil, free)
		case !l.admits(v, j):
			free()
			return Hold{}, &OccupiedError{v}
		}
		// What is there is no obstacle, be it other lines, "a/b" below "a". If nobody has joined and no setting was changed
		// since, that is still so.
		still = []gateway.Cmp{
			gateway.CmpCreateRevision(l.prefix(), gateway.Less, v.Revision+1).Prefix(),
			l.SameSettings(v),
		}
	}
	return l.joinOrLeave(ctx, asked, j, key, free)
}

// admits tells whether the rule would admit one more member.
func (l *Line) admits(v Snapshot, j Join) bool {
	v.Members = append(slices.Clip(v.Members), Member{Value: j.Value})
	return l.Rule(v) == len(v.Members)
}

// front reads the oldest keys of the line; all of them if there is no limit.
func (l *Line) front(limit int64) gateway.Op {
	return gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.Limit(limit),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Ascend))
}

// try gives the new member, or the line as it was found.
func (l *Line) try(ctx context.Context, j Join, key string, free func(), still []gateway.Cmp) (me *Member, v Snapshot, _ error) {
	look := int64(tryLook)
	if j.Whole {
		look = 0
	}
	w := core.Write{
		If:   append(still, j.If...),
		Then: []gateway.Op{gateway.OpPut(key, []byte(j.Value), gateway.WithLease(l.Session.Lease()))},
		Else: []gateway.Op{
			l.front(look),
			gateway.OpGet(key, gateway.KeysOnly()),
		},
		Compensation: core.Deletion(key),
		OnResolved:   free,
	}
	if len(j.If) > 0 { // which of the compares was it?
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
	if len(own.KVs) == 1 { // the slot is ours alone: a try whose answer was lost had worked
		return &Member{key, own.KVs[0].CreateRevision, j.Value}, Snapshot{}, nil
	}
	if len(j.If) > 0 && !out.Responses[2].Txn.Succeeded {
		return nil, Snapshot{}, &RefusedError{out.Responses[2].Txn.Responses}
	}
	front.Revision = out.Revision // that of the nested answer is the same, and was left out
	v = viewOf(front, l.prefix())
	if front.More && (len(v.Members) == 0 || l.admits(v, j)) {
		v, err = l.Now(ctx)
	}
	return nil, v, err
}

// joinOrLeave is for a line in which so much goes on that nothing can be compared with.
func (l *Line) joinOrLeave(ctx context.Context, asked time.Time, j Join, key string, free func()) (Hold, error) {
	me, _, err := l.join(ctx, j, key, 0, free)
	if err != nil {
		return Hold{}, err
	}
	v, err := l.Now(ctx)
	if err == nil {
		err = l.standing(v, me)
	}
	if err != nil {
		l.abandon(me, free)
		return Hold{}, err
	}
	return l.admit(ctx, asked, me, nil, free)
}

// standing returns nil if the rule admits a member that has joined, and why not otherwise.
func (l *Line) standing(v Snapshot, me Member) error {
	switch i := slices.IndexFunc(v.Members, me.is); {
	case i < 0:
		return errRemoved
	case i >= l.Rule(v):
		return &OccupiedError{v}
	}
	return nil
}
