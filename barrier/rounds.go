package barrier

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// MaxParties is how many members a round can have: all of them are compared in one transaction.
const MaxParties = 100

// backup is after what time the others complete a full round that the n-th member has not.
const backup = 100 * time.Millisecond

// rounds is what Double and Cyclic have in common.
type rounds struct {
	place
	breakable bool
}

// pass joins and waits until the round of the new member is decided. The member is still there then; if pass fails, it
// is gone or is being removed in the background.
func (r *rounds) pass(ctx context.Context) (me line.Member, free func(), f fate, err error) {
	if err := r.check(ctx, MaxParties); err != nil {
		return me, nil, f, err
	}
	me.Key, free = r.line.Slot()
	if me.Fence, err = r.join(ctx, me.Key, free); err == nil {
		if f, err = r.await(ctx, me); err != nil {
			r.withdraw(me.Key, free, nil)
		}
	}
	return me, free, f, err
}

func (r *rounds) join(ctx context.Context, key string, free func()) (fence int64, err error) {
	s := r.line.Session
	parties := r.line.SettingKey(partiesSetting)
	for {
		out, err := s.Write(ctx, session.Write{
			If:      []gateway.Cmp{r.declared()},
			Then:    []gateway.Op{gateway.OpPut(key, nil, gateway.WithLease(s.Lease()), gateway.PrevKV())},
			Else:    []gateway.Op{gateway.OpGet(parties)},
			Undo:    []gateway.Op{r.line.ReadOp()},
			Settled: func(o session.Outcome) { r.withdrawn(key, free, o) },
		})
		switch {
		case errors.Is(err, gateway.ErrUncertain):
			return 0, err
		case err != nil:
			free()
			return 0, err
		case out.Applied:
			if prev := out.Responses[0].Put.PrevKV; prev != nil { // an earlier try had put it
				return prev.CreateRevision, nil
			}
			return out.Revision, nil
		}
		var found string
		if kvs := out.Responses[0].Get.KVs; len(kvs) == 1 {
			found = string(kvs[0].Value)
		}
		if err := r.matches(ctx, found); err != nil {
			if out.Repeated { // an earlier try may have been applied, before the place was declared anew
				r.withdraw(key, free, nil)
			} else {
				free()
			}
			return 0, err
		}
	}
}

// await returns when the round of a member is decided, to which it helps.
func (r *rounds) await(ctx context.Context, me line.Member) (fate, error) {
	var now state
	var broken, overdue bool
	v, err := r.next(ctx, me.Fence-1)
	for {
		if err != nil {
			return fate{}, err
		}
		before := now
		if now, err = stateOf(v); err != nil {
			return fate{}, err
		}
		if !now.has(me) { // alone, or with the lease: others may have taken its place
			if err := r.line.Session.Verify(ctx); err != nil {
				return fate{}, err
			}
			return fate{}, session.ErrRemoved
		}
		if f, decided, err := now.fate(me); decided || err != nil {
			return f, err
		}
		all := now.waiting()
		full := len(all) >= r.n
		broken = r.breakable && now.last == before.last && (broken || now.missing(before))
		if full && (overdue || all[r.n-1].Key == me.Key) || broken && !full {
			v, err = r.decide(ctx, now)
			overdue = false
			continue
		}
		look, cancel := ctx, context.CancelFunc(func() {})
		if full {
			look, cancel = context.WithTimeout(ctx, backup)
		}
		w, missed := r.next(look, now.Revision)
		overdue = full && missed != nil && look.Err() != nil && ctx.Err() == nil && r.line.Session.Err() == nil
		if !overdue {
			v, err = w, missed
		}
		cancel()
	}
}

// decide tries to decide the open round, and returns the line as it is then.
func (r *rounds) decide(ctx context.Context, now state) (line.View, error) {
	w, err := now.decide(&r.line, r.n)
	if err != nil {
		return line.View{}, err
	}
	w.Then = append(w.Then, r.line.ReadOp())
	w.Else = []gateway.Op{r.line.ReadOp()}
	out, err := r.line.Session.Write(ctx, w)
	if err != nil {
		return line.View{}, err
	}
	return r.line.ViewOf(out.Revision, out.Responses[len(out.Responses)-1]), nil
}

// withdraw takes a member out in the background: of a round that can break only once that is decided. decision is tried
// first, if there is one.
func (r *rounds) withdraw(key string, free func(), decision []gateway.Op) {
	if !r.breakable {
		r.leave(key, free)
		return
	}
	r.line.Session.Settle(session.Write{
		Undo:    append(decision, r.line.ReadOp()),
		Settled: func(o session.Outcome) { r.withdrawn(key, free, o) },
	})
}

// withdrawn looks at how far the withdrawal of a member has come.
func (r *rounds) withdrawn(key string, free func(), o session.Outcome) {
	now, err := stateOf(r.line.ViewOf(o.Revision, o.Responses[len(o.Responses)-1]))
	waits := false
	for _, m := range now.waiting() {
		waits = waits || m.Key == key
	}
	if !r.breakable || err != nil || !waits {
		r.leave(key, free)
		return
	}
	w, err := now.decide(&r.line, r.n)
	if err != nil {
		r.leave(key, free)
		return
	}
	r.withdraw(key, free, []gateway.Op{gateway.OpTxn(gateway.Txn{If: w.If, Then: w.Then})})
}

func (r *rounds) leave(key string, free func()) {
	r.line.Session.Settle(session.Write{
		Undo:    []gateway.Op{gateway.OpDelete(key)},
		Settled: func(session.Outcome) { free() },
	})
}
