package line

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// MaxLines is the number of lines that can be joined at once, because each takes two of the 128
// operations that a transaction may have.
const MaxLines = 60

// EnterAll joins several lines of one session in one transaction, waits until it is admitted to
// all, and returns the holds in the order of lines. If it returns an error, the members have been
// removed or are being removed in the background.
//
// Returns [gateway.ErrInvalid] when lines is empty, has more than [MaxLines] elements or names a
// line twice, the error of a hold that was lost while EnterAll waited for another, and else the
// errors of [Line.Enter].
func EnterAll(ctx context.Context, lines []*Line) ([]Hold, error) {
	asked := time.Now()
	if err := checkAll(ctx, lines); err != nil {
		return nil, err
	}
	return enterAll(ctx, asked, lines, (*Line).waitNear)
}

// TryAll is EnterAll if all the lines admit the new members at once. Else it is an
// [*OccupiedError]. It joins them in one transaction, too: if it joined one after the other, a
// member that comes in between would have a smaller fence than the last of them, and hold its line
// later.
func TryAll(ctx context.Context, lines []*Line) ([]Hold, error) {
	asked := time.Now()
	if err := checkAll(ctx, lines); err != nil {
		return nil, err
	}
	if err := lookAll(ctx, lines); err != nil {
		return nil, err
	}
	return enterAll(ctx, asked, lines, (*Line).look)
}

// lookAll returns an [*OccupiedError] if a new member would not be admitted to one of the lines.
func lookAll(ctx context.Context, lines []*Line) error {
	s := lines[0].Session
	var fronts gateway.Txn
	for _, l := range lines {
		core.AwaitDeferred(ctx, s, l.prefix())
		fronts.Then = append(fronts.Then, l.front(frontKeys))
	}
	bound, cancel := lines[0].Session.Bound(ctx)
	defer cancel()
	resp, err := s.Client().Txn(bound, fronts)
	if err != nil {
		return lines[0].endCause(bound, err)
	}
	for i, l := range lines {
		v := snapshotOf(resp.Responses[i].Get, l.prefix())
		if len(v.Members) > 0 && !l.admits(v, Join{}) {
			return &OccupiedError{v}
		}
	}
	return nil
}

type waitFunc func(*Line, context.Context, Join, Member) (admission, error)

// enterAll joins the lines. wait is called for each in which there is another key.
func enterAll(ctx context.Context, asked time.Time, lines []*Line, wait waitFunc) ([]Hold, error) {
	s := lines[0].Session
	frees := make([]func(), len(lines))
	members, keys := make([]Member, len(lines)), make([]string, len(lines))
	freeAll := func() {
		for _, free := range frees {
			free()
		}
	}
	w := core.Write{OnResolved: freeAll}
	for i, l := range lines {
		keys[i], _, frees[i] = s.ReserveKey(l.Name)
		members[i].Key = keys[i]
		w.Then = append(w.Then,
			gateway.OpPut(members[i].Key, nil, gateway.WithLease(s.Lease()), gateway.PrevKV()),
			gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.CountOnly()))
	}
	w.Compensation = core.Deletion(keys...)
	out, err := s.Write(ctx, w)
	if err != nil {
		if !errors.Is(err, gateway.ErrUncertain) {
			freeAll()
		}
		return nil, err
	}
	var holds []Hold
	done, handed := 0, false
	defer func() {
		if handed {
			return
		}
		for _, h := range holds {
			h.Abandon(ctx)
		}
		for i := done; i < len(lines); i++ { // after a panic of a hook
			lines[i].abandon(members[i], frees[i])
		}
	}()
	caller := ctx
	ctx, lost := context.WithCancelCause(ctx) // ends with any hold, because EnterAll fails then
	defer lost(nil)
	for i, l := range lines {
		members[i].Fence = out.Revision
		if prev := out.Responses[2*i].Put.PrevKV; prev != nil { // by an earlier try
			members[i].Fence = prev.CreateRevision
		}
		var how admission
		if out.Responses[2*i+1].Get.Count > 1 && err == nil {
			how, err = wait(l, ctx, Join{}, members[i])
		}
		done++ // from here on this iteration or its hold abandons the member
		if err != nil {
			l.abandon(members[i], frees[i])
			continue
		}
		var h Hold
		a := admitted{Member: members[i], admission: how, free: frees[i]}
		if h, err = l.admit(ctx, asked, a); err == nil {
			holds = append(holds, h)
			//nolint:contextcheck // it passes on how the hold ended
			defer context.AfterFunc(h.Context(), func() { lost(h.Err()) })()
		}
	}
	for _, h := range holds { // one may have been lost during the wait for another
		if err == nil || caller.Err() == nil {
			err = cmp.Or(h.Err(), err)
		}
	}
	if err != nil {
		return nil, err
	}
	handed = true
	return holds, nil
}

// checkAll returns [gateway.ErrInvalid] for lines that cannot be held together, and waits while the
// session is suspect.
func checkAll(ctx context.Context, lines []*Line) error {
	if err := checkNames(lines); err != nil {
		return err
	}
	for _, l := range lines {
		if err := l.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func checkNames(lines []*Line) error {
	if len(lines) == 0 || len(lines) > MaxLines {
		return fmt.Errorf("%w: %d names, not between 1 and %d",
			gateway.ErrInvalid, len(lines), MaxLines)
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l.Name] {
			return fmt.Errorf("%w: %q is named twice", gateway.ErrInvalid, l.Name)
		}
		seen[l.Name] = true
		if err := l.checkName(); err != nil {
			return err
		}
	}
	return nil
}
