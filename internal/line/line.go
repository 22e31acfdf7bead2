// Package line is the waiting line that the recipes share: a key prefix whose members are leased keys, in the order in
// which they were created.
//
// A recipe is an admission [Rule], a pure function of the line. Joining is one round trip; whoever is not admitted by the
// answer waits for a [mirror] of the line, kept by one watch for all waiters of a client, to show that it is.
//
// The layout is that of clientv3/concurrency and of etcd's own lock and election services, which can be members of the
// same line.
package line

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Snapshot is a line at one revision.
type Snapshot struct {
	Revision int64
	Members  []Member // in the order in which they joined
	// Settings are the keys <name>//<what> that a recipe keeps beside its members, by <what>.
	Settings map[string]string
	Puts     map[string]Put // tells of the same keys when they were put
}

// Put tells when a key was put last, and how often since it was created.
type Put struct{ Revision, Version int64 }

// Rule tells how many members at the front of a line are admitted. A member behind one that is not admitted must not be
// either.
type Rule func(Snapshot) int

// Exclusive admits the first.
func Exclusive(v Snapshot) int { return min(1, len(v.Members)) }

// Member is one key of a line. Key alone does not name it: keys are used again.
type Member struct {
	Key   string
	Fence int64 // its create_revision
	Value string
}

func (m Member) is(o Member) bool { return m.Key == o.Key && m.Fence == o.Fence }

// Lease is the lease that the name of the key tells of; 0 if it tells of none.
func (m Member) Lease() gateway.LeaseID {
	name := m.Key[strings.LastIndexByte(m.Key, '/')+1:]
	hex, _, _ := strings.Cut(name, "-")
	return parseLease(hex)
}

// Line is a place to wait at. It is immutable and does no I/O of its own accord.
type Line struct {
	Session *core.Session
	Name    string
	Kind    string // of the recipe: those that have the same must have the same Rule
	Rule    Rule
	Delay   time.Duration // see delay.go
	Checked bool          // the recipe has checked the name, which may lie among the settings of another line then
	Slash   bool          // the name may end in a slash, because the recipe keeps no settings that others need
}

func (l *Line) prefix() string { return l.Name + "/" }

// errRemoved: somebody else deleted the member's key.
var errRemoved = fmt.Errorf("%w: %w", core.ErrLost, core.ErrKeyDeleted)

// Hold is an admitted member: the noun of a recipe, and its inverse.
type Hold struct {
	*core.Hold
	Grip *core.Releaser
}

// Join is what a member brings along.
type Join struct {
	Value string
	// Exclusive says that the rule admits the member only when nobody is ahead of it.
	Exclusive bool
	// If is compared when the member joins; when it does not hold, Else is read and the join is a [*RefusedError].
	If   []gateway.Cmp
	Else []gateway.Op
	// Whole makes a Try that does not join read all of the line, and not only its front.
	Whole bool
	// Hopeless, if set, ends the wait with an error when the line has come to a state that the member cannot get out of.
	Hopeless func(Snapshot) error
	// Aside is the same for a member that must know itself in the line; it goes before Hopeless.
	Aside func(Snapshot, Member) error
}

// RefusedError is a join whose own compare did not hold.
type RefusedError struct {
	Responses []gateway.OpResponse // to Else
}

func (e *RefusedError) Error() string { return "the line is not as expected" }

// Enter joins the line and waits until the rule admits the new member. When it fails, the member is gone or is being
// removed in the background.
func (l *Line) Enter(ctx context.Context, j Join) (Hold, error) {
	asked := time.Now()
	if err := l.Check(ctx); err != nil {
		return Hold{}, err
	}
	key, others, free := l.Session.ReserveKey(l.Name)
	me, count, err := l.join(ctx, j, key, others, free)
	if err != nil {
		return Hold{}, err
	}
	var before *lastLeft
	switch {
	case count == 1 && l.Rule(Snapshot{Members: []Member{me}}) == 1:
	case l.crowded(j, count, others):
		err = l.waitForPredecessor(ctx, me)
	default:
		before, err = l.wait(ctx, j, me)
	}
	if err != nil {
		l.abandon(me, free)
		return Hold{}, err
	}
	return l.admit(ctx, asked, me, before, free)
}

// Check refuses a name that no line may have, and waits while the session is suspect.
func (l *Line) Check(ctx context.Context) error {
	if !l.Checked {
		if err := l.checkName(); err != nil {
			return err
		}
	}
	if strings.HasPrefix(l.prefix(), delayPrefix) {
		return errReserved
	}
	return l.Session.Ready(ctx)
}

func (l *Line) checkName() error {
	if l.Slash {
		return l.Session.CheckLineName(l.Name)
	}
	return l.Session.CheckName(l.Name)
}

// maxShared is the longest value that is sent along with other writes: a batch of them must not be too large a request.
const maxShared = 4096

// unhurried is how many others of the session must be in the line for a join to be patient, if they must all go first: the
// member will wait longer than for that one transaction in any case, and mostly it goes with the next leave.
const unhurried = 3

// join puts the member into the line and tells how many keys there are then.
func (l *Line) join(ctx context.Context, j Join, key string, others int, free func()) (me Member, count int64, _ error) {
	prefix := key[:len(l.Name)+1]
	then := make([]gateway.Op, 2)
	then[0] = gateway.OpPut(key, []byte(j.Value), gateway.WithLease(l.Session.Lease()), gateway.PrevKV())
	then[1] = gateway.OpGet(prefix, gateway.Prefix(), gateway.CountOnly())
	w := core.Write{
		If:         j.If,
		Then:       then,
		Else:       j.Else,
		MayLinger:  j.Exclusive && others >= unhurried,
		OnResolved: free,
	}
	if len(j.If) == 0 && len(j.Value) <= maxShared {
		w.Key, w.Line = key, prefix
	} else {
		w.Compensation = core.Deletion(key)
	}
	out, err := l.Session.Write(ctx, w)
	switch {
	case errors.Is(err, gateway.ErrUncertain):
		return Member{}, 0, err
	case err != nil:
		free()
		return Member{}, 0, err
	case !out.Applied && out.Repeated: // an earlier try may have been, before the line changed
		l.abandon(Member{Key: key}, free)
		return Member{}, 0, &RefusedError{out.Responses}
	case !out.Applied:
		free()
		return Member{}, 0, &RefusedError{out.Responses}
	}
	me = Member{Key: key, Fence: out.Revision, Value: j.Value}
	if prev := out.Responses[0].Put.PrevKV; prev != nil { // an earlier try had put it
		me.Fence = prev.CreateRevision
	}
	return me, out.Responses[1].Get.Count, nil
}

// wait returns when the mirror has shown the member to be admitted. It returns the member that was
// seen to leave last, or nobodySeen.
func (l *Line) wait(ctx context.Context, j Join, me Member) (*lastLeft, error) {
	m := l.mirror()
	defer m.release()
	ctx, cancel := l.bound(ctx)
	defer cancel()
	hope := j.Hopeless
	if j.Aside != nil {
		hope = func(v Snapshot) error { return j.Aside(v, me) }
	}
	w := m.addWaiter(me, hope)
	defer m.removeWaiter(w)
	for {
		if err := m.sync(ctx); err != nil {
			return nil, l.endCause(ctx, err)
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, l.endCause(ctx, ctxerr.Of(ctx))
		}
		switch state := m.look(w); {
		case state.gone: // alone, or with the lease
			return nil, cmp.Or(l.Session.Verify(ctx), errRemoved)
		case state.admitted:
			return cmp.Or(state.before, nobodySeen), nil
		case state.hopeless != nil:
			return nil, state.hopeless
		}
	}
}

// bound gives a context that also ends with the session.
func (l *Line) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	s := l.Session.Context()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s, func() { cancel(context.Cause(s)) })
	return ctx, func() { stop(); cancel(nil) }
}

// endCause prefers the loss of the session to the errors that it causes.
func (l *Line) endCause(ctx context.Context, err error) error {
	if lost := l.Session.Err(); lost != nil && ctx.Err() != nil {
		return lost
	}
	return err
}

// admit turns a member at the front into a hold, once the session can be trusted and the lock delay is over.
func (l *Line) admit(ctx context.Context, asked time.Time, me Member, before *lastLeft, free func()) (Hold, error) {
	h, grip := l.Session.Hold(me.Key, me.Fence, free)
	admitted := false
	defer func() {
		if !admitted { // also where a hook has panicked: no caller gets a hold that it could release
			Hold{h, grip}.Abandon(ctx)
		}
	}()
	err := l.awaitDelay(ctx, h, before)
	if err == nil {
		grip.AddReleaseOps(l.releaseOps(me)...) // not before: whoever leaves within the delay must not end it for the next
		err = l.Session.Ready(ctx)
	}
	if err == nil {
		err = h.Err()
	}
	if err != nil {
		return Hold{}, err
	}
	l.Session.ObserveHold(ctx, h, l.Kind, l.Name, asked)
	admitted = true
	return Hold{h, grip}, nil
}

// Abandon gives the hold back in the background.
func (h Hold) Abandon(ctx context.Context) { h.Grip.Abandon(ctx) }

// GiveBack is release, the recipe's own, for the end of a function that ran under the hold: what etcd refuses goes on in the
// background, since nobody is left who would call again.
func GiveBack(ctx context.Context, grip *core.Releaser, release func(context.Context) error) error {
	err := release(ctx)
	if err != nil {
		Hold{Grip: grip}.Abandon(ctx)
	}
	return err
}

// finishTimeout bounds [Finish], which must work although the caller's context has ended.
const finishTimeout = 5 * time.Second

// Finish is [GiveBack] with a time of its own. It belongs in a defer, because the function under the hold may panic, or end
// its goroutine, and a caller that recovers has no hold that it could release. A hold that the function has released itself is
// not an error; if that was refused, it goes on in the background.
func Finish(ctx context.Context, grip *core.Releaser, release func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if grip.Released() {
		Hold{Grip: grip}.Abandon(ctx)
		return nil
	}
	return GiveBack(ctx, grip, release)
}

// abandon takes the member out of the line in the background.
func (l *Line) abandon(me Member, free func()) {
	l.Session.Compensate(core.Write{
		Compensation: core.Deletion(me.Key),
		OnResolved:   free,
	})
}
