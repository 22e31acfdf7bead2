package election

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// A priority does not change the order of the line, because that order keeps two candidates from
// leading. The first waiting candidate that sees one of a higher rank behind it leaves and joins
// again at the end. A candidate whose turn has come does the same before it leads. So the line
// becomes sorted, and the candidate of the highest rank never leaves. The rank is the priority, and
// among equal ones the revision of the first join, so that candidates that let others pass keep
// their order. Both are a part of the candidate's key, because the value is the caller's, and
// because they then begin and end with the candidacy.

// MaxPriority is the greatest priority of a candidate.
const MaxPriority = 1_000_000

const priorityMark = "-p"

// rank is the rank of a candidate.
type rank struct {
	priority int
	since    int64 // the fence of its first key
}

// mark returns the end of the key of a candidate that joins. A since of 0 is the key's own fence.
func (r rank) mark() string {
	switch {
	case r.since > 0:
		return priorityMark + strconv.Itoa(r.priority) + "-" + strconv.FormatInt(r.since, 10)
	case r.priority > 0:
		return priorityMark + strconv.Itoa(r.priority)
	}
	return ""
}

// rankOf returns the rank in a candidate's key. Candidates of other libraries have the priority 0.
func rankOf(m line.Member) rank {
	name := m.Key[strings.LastIndexByte(m.Key, '/')+1:]
	_, mark, _ := strings.Cut(name, priorityMark)
	first, second, _ := strings.Cut(mark, "-")
	priority, err := strconv.Atoi(first)
	since, wrong := strconv.ParseInt(second, 10, 64)
	if err != nil || priority < 0 || priority > MaxPriority {
		priority = 0
	}
	if wrong != nil || since <= 0 || since > m.Fence {
		since = m.Fence
	}
	return rank{priority, since}
}

// over reports whether r leads before o.
func (r rank) over(o rank) bool {
	return r.priority > o.priority || r.priority == o.priority && r.since < o.since
}

// checkPriority returns [gateway.ErrInvalid] when the priority is out of range.
func (e *Election) checkPriority() error {
	if p := e.opts.Priority; p < 0 || p > MaxPriority {
		return fmt.Errorf("%w: a priority of %d is not between 0 and %d",
			gateway.ErrInvalid, p, MaxPriority)
	}
	return nil
}

// outrankedError ends the wait of a candidate that lets one of a higher rank pass.
type outrankedError struct{ rank }

func (*outrankedError) Error() string { return "a candidate with a higher priority waits" }

// outranked reports whether the candidate is the first one that does not lead, and another one that
// waits behind it has a higher rank.
func outranked(v line.Snapshot, me line.Member) bool {
	i := slices.IndexFunc(v.Members, func(m line.Member) bool { return m.Fence == me.Fence })
	if i != 0 && i != 1 {
		return false
	}
	mine := rankOf(me)
	return slices.ContainsFunc(v.Members[i+1:], func(m line.Member) bool {
		return rankOf(m).over(mine)
	})
}

// highest returns the index of the first candidate with the highest priority, if that is above a
// priority, and else -1.
func highest(members []line.Member, above int) (best int) {
	best = -1
	for i, m := range members {
		if p := rankOf(m).priority; p > above {
			best, above = i, p
		}
	}
	return best
}

// AwaitHigher waits for a candidate with a higher priority than this term's, and returns the one
// with the highest. The term goes on: the caller ends its work and calls [Term.TransferTo], as
// [Options.Preempt] does. Returns [session.ErrNotHeld] when the term ends, and ctx's error when ctx
// ends first.
func (t *Term) AwaitHigher(ctx context.Context) (Candidate, error) {
	c, err := t.awaitHigher(ctx)
	if ended := t.Err(); ended != nil && err != nil && !errors.Is(err, session.ErrNotHeld) {
		err = line.NotHeld(ended)
	}
	return c, t.line.Wrap("await higher", err)
}

func (t *Term) awaitHigher(ctx context.Context) (Candidate, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.Context(), cancel)() //nolint:contextcheck // the hold's own life
	for v, err := range t.line.Follow(ctx) {
		switch {
		case err != nil:
			return Candidate{}, err
		case v.Revision < t.Fence():
			continue
		case len(v.Members) == 0 || v.Members[0].Fence != t.Fence():
			return Candidate{}, session.ErrNotHeld
		}
		if i := highest(v.Members[1:], rankOf(v.Members[0]).priority); i >= 0 {
			m := v.Members[1+i]
			return Candidate{
				Key: m.Key, Lease: m.Lease(), Fence: m.Fence, Value: m.Value,
				Priority: rankOf(m).priority,
			}, nil
		}
	}
	return Candidate{}, session.ErrNotHeld
}

// ErrPreempted is the cause of the context of the function of [Election.Do] and [Election.Run] when
// a candidate with a higher priority takes the term over, see [Options.Preempt].
var ErrPreempted = errors.New("a candidate with a higher priority waits")

// preemptTime bounds the wait for the candidates ahead of the one that pre-empts, of which some may
// be of other libraries, which do not move. The next candidate leads then.
const preemptTime = 2 * time.Second

// preemptible returns fn with a context that also ends when a higher priority waits.
func (e *Election) preemptible(
	fn func(context.Context, *Term) error,
) func(context.Context, *Term) error {
	if !e.opts.Preempt {
		return fn
	}
	return func(ctx context.Context, t *Term) (err error) {
		run, cancel := context.WithCancelCause(ctx)
		watching, stop := context.WithCancel(ctx)
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for again := (line.Again{}); ; {
				c, err := t.AwaitHigher(watching)
				if err == nil {
					t.higher = &c
					cancel(ErrPreempted)
					return
				}
				if t.Err() != nil || again.Wait(watching) != nil {
					return
				}
			}
		}()
		defer func() { // also if fn panics or ends its goroutine
			stop()
			<-watched
			cancel(nil)
			if t.higher != nil {
				err = errors.Join(err, ErrPreempted)
			}
		}()
		return fn(run, t)
	}
}

// finish ends a term of [Election.Do]: the candidate that has pre-empted it leads next. If that is
// not possible, for example because the candidate has died, the term ends as by Resign.
func (t *Term) finish(ctx context.Context) error {
	if t.higher != nil {
		short, cancel := context.WithTimeout(ctx, preemptTime)
		defer cancel()
		if t.TransferTo(short, *t.higher) == nil {
			return nil
		}
	}
	return t.Resign(ctx)
}
