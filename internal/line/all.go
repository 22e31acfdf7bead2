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

// MaxLines is how many lines can be joined at once: two operations for each have to fit into a transaction of 128.
const MaxLines = 60

// EnterAll joins several lines of one session in one transaction and waits until it is admitted to all. When it fails,
// the members are gone or are being removed in the background.
func EnterAll(ctx context.Context, lines []*Line) ([]Hold, error) {
	asked := time.Now()
	if err := CheckAll(ctx, lines); err != nil {
		return nil, err
	}
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
	ctx, lost := context.WithCancelCause(ctx) // ends with any that is held: the others are no use then
	defer lost(nil)
	for i, l := range lines {
		members[i].Fence = out.Revision
		if prev := out.Responses[2*i].Put.PrevKV; prev != nil { // an earlier try had put them all
			members[i].Fence = prev.CreateRevision
		}
		var before *lastLeft
		if out.Responses[2*i+1].Get.Count > 1 && err == nil {
			before, err = l.wait(ctx, Join{}, members[i])
		}
		done++ // from here on the member is abandoned by its own means
		if err != nil {
			l.abandon(members[i], frees[i])
			continue
		}
		var h Hold
		if h, err = l.admit(ctx, asked, members[i], before, frees[i]); err == nil {
			holds = append(holds, h)
			defer context.AfterFunc(h.Context(), func() { lost(h.Err()) })() //nolint:contextcheck // it passes on how the hold ended
		}
	}
	for _, h := range holds { // one may have been lost while another was waited for
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

// CheckAll returns [gateway.ErrInvalid] for lines that cannot be held together.
func CheckAll(ctx context.Context, lines []*Line) error {
	if len(lines) == 0 || len(lines) > MaxLines {
		return fmt.Errorf("%w: %d names, not between 1 and %d", gateway.ErrInvalid, len(lines), MaxLines)
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l.Name] {
			return fmt.Errorf("%w: %q is named twice", gateway.ErrInvalid, l.Name)
		}
		seen[l.Name] = true
		if err := l.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}
