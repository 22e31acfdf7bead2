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

// maxGroup bounds the weight of the writes in one transaction. etcd then allows 30 more operations
// in each of them.
const maxGroup = 96

// GroupBytes is the number of bytes that a write may put for each unit of its weight.
const GroupBytes = 5 << 10

// groupedWrite is a write in a group.
type groupedWrite struct {
	w       Write
	weight  int
	deletes []string
	absent  []string // the last compares of w.If
	out     Outcome
	err     error // if it differs from the group's error
}

// WriteTogether applies w in one transaction with the other writes that wait while such a
// transaction is under way. Each is applied or not by itself. Two writes that may be under way at
// once must not write the same key. weight is the write's share of a transaction, from 1 to 96.
//
// deletes are the keys that the first operations of w.Then delete. They exist if w.If holds. They
// end in numbers with equally many digits, with no other keys in between, so that one operation
// deletes neighbours.
func (s *Session) WriteTogether(
	ctx context.Context, w Write, weight int, deletes ...string,
) (Outcome, error) {
	if ctx.Err() != nil {
		return Outcome{}, s.completeOnCancel(ctx, w, ctxerr.Of(ctx))
	}
	return s.submit(&groupedWrite{w: w, weight: weight, deletes: deletes}).Wait(ctx)
}

// Pending is a write whose outcome was not read yet. Wait must be called, once.
type Pending struct {
	s *Session
	j *merge.Job[*groupedWrite]
}

// Begin starts a [Session.WriteTogether]. In addition to w.If, the keys in absent must not exist.
// They end in numbers as deletes do, so that neighbours are compared at once.
func (s *Session) Begin(w Write, weight int, absent ...string) *Pending {
	for _, key := range absent {
		w.If = append(w.If, gateway.CmpCreateRevision(key, gateway.Equal, 0))
	}
	return s.submit(&groupedWrite{w: w, weight: weight, absent: absent})
}

func (s *Session) submit(m *groupedWrite) *Pending { return &Pending{s, s.group.Submit(m)} }

// Wait returns the outcome. See [Session.WriteTogether].
func (p *Pending) Wait(ctx context.Context) (Outcome, error) {
	if err := p.s.group.Wait(ctx, p.j); err != nil {
		return Outcome{}, p.s.completeOnCancel(ctx, p.j.V.w, err)
	}
	return p.j.V.out, nil
}

// completeOnCancel resolves a write with CompleteOnCancel that was not sent when ctx ended.
func (s *Session) completeOnCancel(ctx context.Context, w Write, err error) error {
	if !w.CompleteOnCancel || ctx.Err() == nil || errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	s.resolve(w, false)
	return uncertain(err)
}

// Answered reports whether Wait would return at once.
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

// sendGroup applies several writes. If the server rejects the transaction, each write is sent
// alone, so that only the writes at fault fail.
func (s *Session) sendGroup(ctx context.Context, jobs []*merge.Job[*groupedWrite]) {
	err := s.writeGroup(ctx, jobs)
	alone := err != nil && len(jobs) > 1 && s.Err() == nil && ctx.Err() == nil &&
		!errors.Is(err, gateway.ErrUncertain)
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
			j.V.out = Outcome{
				Applied: own.Succeeded, Revision: out.Revision, Responses: own.Responses,
				Repeated: out.Repeated,
			}
		}
		j.V.out, _ = s.giveUp(ctx, j.V.w, j.V.out, inDoubt && !j.V.w.Guarded, nil)
	}
	return nil
}

// writeEach applies writes one by one after a full database has rejected them together, because it
// accepts those that put nothing.
func (s *Session) writeEach(
	ctx context.Context, jobs []*merge.Job[*groupedWrite], inDoubt bool,
) error {
	for _, j := range jobs {
		m := j.V
		m.out, m.err = s.single(ctx, m.w, inDoubt, true)
	}
	return nil
}

// nested returns a write with a nested transaction for each job.
func nested(jobs []*merge.Job[*groupedWrite]) (all Write) {
	all.Guarded = guarded(jobs)
	for _, j := range jobs {
		w := j.V.w
		all.Then = append(all.Then, gateway.OpTxn(gateway.Txn{If: w.If, Then: w.Then, Else: w.Else}))
	}
	return all
}

// guarded reports whether all writes are guarded.
func guarded(jobs []*merge.Job[*groupedWrite]) bool {
	return !slices.ContainsFunc(jobs, func(j *merge.Job[*groupedWrite]) bool { return !j.V.w.Guarded })
}

// abandonGrouped resolves a write whose caller returned while it was under way, unless that was
// done.
func (s *Session) abandonGrouped(j *merge.Job[*groupedWrite]) {
	if !errors.Is(j.Err, gateway.ErrUncertain) {
		s.resolve(j.V.w, false)
	}
}

// Background runs fn in a goroutine that Close waits for. The ctx of fn ends with the session.
// After the session has ended, Background does not run fn and returns false.
func (s *Session) Background(fn func(ctx context.Context)) bool { return s.background(fn) }
