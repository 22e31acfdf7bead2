package core

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/merge"
)

// maxGroup is how much one transaction of several writes takes. With it, etcd leaves 30 operations for each of them.
const maxGroup = 96

// GroupBytes is how many bytes a write may put for each unit of its weight.
const GroupBytes = 5 << 10

// groupedWrite is a write among others.
type groupedWrite struct {
	w       Write
	weight  int
	deletes []string
	absent  []string // the last compares of w.If
	out     Outcome
	err     error // where it differs from that of the others
}

// WriteTogether is Write in one transaction with others that wait while another such transaction is under way; each is
// applied or not by itself. No two that may be under way at once may write one key. weight is how much of a transaction
// the write takes up, from 1 to 96.
//
// deletes are the keys that the first operations of w.Then delete. They are there if w.If holds, and end in a number of
// as many digits each, with no other keys in between, so that neighbours go in one operation.
func (s *Session) WriteTogether(ctx context.Context, w Write, weight int, deletes ...string) (Outcome, error) {
	if ctx.Err() != nil {
		return Outcome{}, s.completeOnCancel(ctx, w, ctxerr.Of(ctx))
	}
	return s.submit(&groupedWrite{w: w, weight: weight, deletes: deletes}).Wait(ctx)
}

// Pending is a write whose outcome nobody has asked for yet. Wait must be called, once.
type Pending struct {
	s *Session
	j *merge.Job[*groupedWrite]
}

// Begin begins a [Session.WriteTogether]. absent are keys that must not exist, besides w.If; they end in numbers as deletes
// do, so that neighbours are compared at once.
func (s *Session) Begin(w Write, weight int, absent ...string) *Pending {
	for _, key := range absent {
		w.If = append(w.If, gateway.CmpCreateRevision(key, gateway.Equal, 0))
	}
	return s.submit(&groupedWrite{w: w, weight: weight, absent: absent})
}

func (s *Session) submit(m *groupedWrite) *Pending { return &Pending{s, s.group.Submit(m)} }

// Wait is the rest of a [Session.WriteTogether].
func (p *Pending) Wait(ctx context.Context) (Outcome, error) {
	if err := p.s.group.Wait(ctx, p.j); err != nil {
		return Outcome{}, p.s.completeOnCancel(ctx, p.j.V.w, err)
	}
	return p.j.V.out, nil
}

// completeOnCancel settles a write that was not sent when ctx ended, if it is to be done all the same.
func (s *Session) completeOnCancel(ctx context.Context, w Write, err error) error {
	if !w.CompleteOnCancel || ctx.Err() == nil || errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	s.resolve(w, false)
	return uncertain(err)
}

// Answered tells whether Wait would return at once.
func (p *Pending) Answered() bool { return p.j.Done() }

func pickGroup(waiting []*merge.Job[*groupedWrite]) int {
	sum := 0
	for i, j := range waiting {
		if sum += j.V.weight; sum > maxGroup && i > 0 {
			return i
		}
	}
	return len(waiting)
}

// sendGroup applies several writes. What the server refuses as a whole goes again one by one, so that it is refused to
// those alone who are to blame.
func (s *Session) sendGroup(ctx context.Context, jobs []*merge.Job[*groupedWrite]) {
	err := s.writeGroup(ctx, jobs)
	alone := err != nil && len(jobs) > 1 && s.Err() == nil && ctx.Err() == nil && !errors.Is(err, gateway.ErrUncertain)
	for i, j := range jobs {
		if j.Err = cmp.Or(err, j.V.err); alone {
			j.Err = s.writeGroup(ctx, jobs[i:i+1])
		}
	}
}

func (s *Session) writeGroup(ctx context.Context, jobs []*merge.Job[*groupedWrite]) error {
	if len(jobs) == 1 {
		m := jobs[0].V
		out, err := s.Write(ctx, m.w)
		m.out = out
		return err
	}
	all, flat := s.flat(jobs)
	if !flat {
		all = nested(jobs)
	}
	out, inDoubt, err := s.write(ctx, all, false)
	if flat && refused(out, inDoubt, err) {
		flat, s.nest = false, nestAfter
		before := out.Repeated
		out, inDoubt, err = s.write(ctx, nested(jobs), false)
		out.Repeated = out.Repeated || before
	}
	if errors.Is(err, gateway.ErrNoSpace) && s.Err() == nil && ctx.Err() == nil {
		return s.writeEach(ctx, jobs, inDoubt)
	}
	if err != nil && (inDoubt || out.Repeated) {
		for _, j := range jobs {
			s.resolve(j.V.w, inDoubt)
		}
		return uncertain(err)
	}
	if err != nil {
		return err
	}
	for i, j := range jobs {
		if flat {
			out.Responses = j.V.read(out)
		} else {
			own := out.Responses[i].Txn
			j.V.out = Outcome{Applied: own.Succeeded, Revision: out.Revision, Responses: own.Responses, Repeated: out.Repeated}
		}
		j.V.out, _ = s.giveUp(ctx, j.V.w, j.V.out, inDoubt && !j.V.w.Guarded, nil)
	}
	return nil
}

// writeEach applies writes one by one that a full database has refused together: those that put nothing are taken.
func (s *Session) writeEach(ctx context.Context, jobs []*merge.Job[*groupedWrite], inDoubt bool) error {
	for _, j := range jobs {
		m := j.V
		m.out, m.err = s.single(ctx, m.w, inDoubt, true)
	}
	return nil
}

// nested has a transaction for each write.
func nested(jobs []*merge.Job[*groupedWrite]) (all Write) {
	all.Guarded = guarded(jobs)
	for _, j := range jobs {
		w := j.V.w
		all.Then = append(all.Then, gateway.OpTxn(gateway.Txn{If: w.If, Then: w.Then, Else: w.Else}))
	}
	return all
}

// guarded tells whether all writes are.
func guarded(jobs []*merge.Job[*groupedWrite]) bool {
	return !slices.ContainsFunc(jobs, func(j *merge.Job[*groupedWrite]) bool { return !j.V.w.Guarded })
}

// abandonGrouped settles a write whose caller left while it was under way, if that has not been done.
func (s *Session) abandonGrouped(j *merge.Job[*groupedWrite]) {
	if !errors.Is(j.Err, gateway.ErrUncertain) {
		s.resolve(j.V.w, false)
	}
}

// Background runs fn in a goroutine that Close waits for; not at all, and it is false, once the session has ended. ctx
// ends with the session.
func (s *Session) Background(fn func(ctx context.Context)) bool { return s.background(fn) }
