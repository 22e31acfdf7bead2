// Package line implements the waiting line that the recipes share: a key prefix whose members are
// leased keys, ordered by their creation.
//
// A recipe is an admission [Rule], a pure function of the line. Joining takes one round trip. A
// member that the response does not admit waits until a [mirror] of the line admits it. All waiters
// of a client share one mirror of a line and its watch.
//
// The keys are laid out as by clientv3/concurrency and by etcd's own lock and election services, so
// their members can share a line with members of this library.
//
// # Concurrency
//
// The methods of [Line] and [EnterAll] are safe for concurrent use. An [Again] is not.
package line

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Snapshot is the state of a line at one revision.
type Snapshot struct {
	Revision int64
	Members  []Member // in the order in which they joined
	// Settings are the values of the keys <name>//<setting> that a recipe keeps beside its members,
	// by <setting>.
	Settings map[string]string
	Puts     map[string]Put // the puts of the same keys
}

// Put is the revision of the last put of a key, and the number of puts since it was created.
type Put struct{ Revision, Version int64 }

// Rule returns the number of members at the front of a line that are admitted. If it does not admit
// all members of a front, it admits as many of the whole line.
type Rule func(Snapshot) int

// Exclusive admits the first member only.
func Exclusive(v Snapshot) int { return min(1, len(v.Members)) }

// Member is one key of a line. Key and Fence together identify it, because keys are reused.
type Member struct {
	Key   string
	Fence int64 // its create_revision
	Value string
}

func (m Member) is(o Member) bool { return m.Key == o.Key && m.Fence == o.Fence }

// Lease returns the lease named in the key, or 0 if the key names none. The value of a detachable
// hold names its lease, because the key may be another session's.
func (m Member) Lease() gateway.LeaseID {
	if owner, ok := core.OwnerOf(m.Value); ok {
		return owner.Lease
	}
	return keyLease(m.Key)
}

// keyLease returns the lease named in a key, or 0 if it names none.
func keyLease(key string) gateway.LeaseID {
	name := key[strings.LastIndexByte(key, '/')+1:]
	hex, _, _ := strings.Cut(name, "-")
	id, _ := gateway.ParseLeaseID(hex) // 0 if it is not a lease
	return id
}

// Line is a waiting line as one session uses it. Its fields must not change, and it
// starts nothing by itself.
type Line struct {
	Session *core.Session
	Name    string
	Kind    string // of the recipe: lines of the same kind must have the same Rule
	Rule    Rule
	Delay   time.Duration // see delay.go
	// EarlyGrant grants the line within this process before the holder's key is deleted, see
	// early.go.
	EarlyGrant bool
	MaxHold    time.Duration // see core.Releaser.Limit; 0 is no limit
	Defer      bool          // see core.Releaser.Deferred
	// Checked means that the recipe has checked the name. It may lie among the settings of another
	// line then.
	Checked bool
	// Slash allows a name that ends in a slash, because the recipe keeps no settings that other
	// clients need.
	Slash bool

	// long is 1 if the last join found a long line, see joinAnswer. It is used with sync/atomic.
	long int32 //nolint:modernize // a Line may be copied before its use
}

func (l *Line) prefix() string { return l.Name + "/" }

// errRemoved is returned when another client has deleted the member's key.
var errRemoved = fmt.Errorf("%w: %w", core.ErrLost, core.ErrKeyDeleted)

// Join holds the options of a join.
type Join struct {
	Value string
	// Exclusive means that the rule admits the member only when no other member is ahead of it.
	Exclusive bool
	// Notes means that a member whose successor may wait far back notes its admission, see far.go.
	Notes bool
	// Lightest is the value of a member that keeps others out the least.
	Lightest string
	// Most is the number of members that the rule usually admits at most. It is used with Notes, and
	// need not be right.
	Most int
	// If is compared when the member joins. If the comparison fails, Else is run and the join
	// returns a [*RefusedError].
	If   []gateway.Cmp
	Else []gateway.Op
	// ReadAll makes a Try that does not join read all of the line instead of its front.
	ReadAll bool
	// Abort, if set, ends the wait of the member with its error, in a state of the line in which
	// the member can no longer be admitted, or must leave. It must not block.
	Abort func(Snapshot, Member) error
	// AbortsBySettings means that Abort looks at nothing but the settings.
	AbortsBySettings bool
	// Yield means that Abort is also called for a member that the rule admits, before the admission.
	// If there is no setting, Abort then looks at nothing but the members ahead, the member itself,
	// and the members with a Mark.
	Yield bool
	// Standby means that a member that waits is not blocked: it is there to replace the holder. Its
	// wait is not reported.
	Standby bool
	// Mark is the end of the member's key, for example a priority. It begins with "-". The key of a
	// member with a mark lies in a range of its own, see marked.go.
	Mark string
}

// RefusedError is returned by a join when its own comparison failed.
type RefusedError struct {
	Responses []gateway.OpResponse // to Else; may be nil, see Declaring
}

func (e *RefusedError) Error() string { return "the line is not as expected" }

// Enter joins the line, waits until the rule admits the new member, and returns its hold. If it
// returns an error, the member has been removed or is being removed in the background.
//
// Returns a [*RefusedError] when j.If does not hold, the error of j.Abort when that ends the
// wait, [core.ErrKeyDeleted] when another client deleted the member's key, the session's
// error when the session ends, ctx's error when ctx ends, and else the error of a failed request.
func (l *Line) Enter(ctx context.Context, j Join) (Hold, error) {
	asked := time.Now()
	if err := l.Check(ctx); err != nil {
		return Hold{}, err
	}
	a, err := l.reach(ctx, j)
	if err != nil {
		return Hold{}, err
	}
	return l.admit(ctx, asked, a)
}

// admitted is a member that the rule admits.
type admitted struct {
	Member
	admission        // zero if the member did not wait
	free      func() // see core.Session.ReserveKey
	marks     bool   // its release puts a mark, see left.go
}

// reach joins the line and waits until the rule admits the member.
func (l *Line) reach(ctx context.Context, j Join) (admitted, error) {
	key, others, free := l.reserveKey(j)
	me, found, err := l.join(ctx, j, key, others, free)
	if err != nil {
		return admitted{}, err
	}
	a := admitted{Member: me, free: free}
	if found.keys > 1 || l.Rule(Snapshot{Members: []Member{me}}) < 1 {
		a.admission, err = l.wait(ctx, j, me, l.farBack(j, found))
		a.marks = l.marks(j, found, a.admission)
	}
	if err != nil {
		l.abandon(me, free)
	}
	return a, err
}

// Check waits while the session is suspect. Returns [gateway.ErrInvalid] when the line's name is
// not allowed or one of its times is negative, the session's error when the session has ended, and
// ctx's error when ctx ends.
func (l *Line) Check(ctx context.Context) error {
	if err := l.checkName(); err != nil {
		return err
	}
	if err := checkReserved(l.Name); err != nil {
		return err
	}
	switch {
	case l.MaxHold < 0:
		return fmt.Errorf("%w: a MaxHold of %v", gateway.ErrInvalid, l.MaxHold)
	case l.Delay < 0:
		return fmt.Errorf("%w: a LockDelay of %v", gateway.ErrInvalid, l.Delay)
	}
	return l.Session.Ready(ctx)
}

func (l *Line) checkName() error {
	switch {
	case l.Checked:
		return nil
	case l.Slash:
		return l.Session.CheckLineName(l.Name)
	}
	return l.Session.CheckName(l.Name)
}

// join puts the member into the line and returns the part of the line that the answer shows.
func (l *Line) join(
	ctx context.Context, j Join, key string, others int, free func(),
) (me Member, found joinAnswer, _ error) {
	prefix := key[:len(l.Name)+1]
	then := make([]gateway.Op, 1, 2)
	then[0] = gateway.OpPut(key, []byte(j.Value),
		gateway.WithLease(l.Session.Lease()), gateway.PrevKV())
	then = l.addJoinReads(then, j, prefix, others)
	w := core.Write{
		If:         j.If,
		Then:       then,
		Else:       j.Else,
		OnResolved: free,
	}
	if len(j.If) == 0 && len(j.Value) <= maxBatchedValue {
		w.Key, w.Line = key, prefix
	} else {
		w.Compensation = core.Deletion(key)
	}
	out, err := l.Session.Write(ctx, w)
	switch {
	case errors.Is(err, gateway.ErrUncertain):
		return Member{}, joinAnswer{}, err
	case err != nil:
		free()
		return Member{}, joinAnswer{}, err
	case !out.Applied && out.Repeated: // an earlier try may have been applied
		l.abandon(Member{Key: key}, free)
		return Member{}, joinAnswer{}, &RefusedError{out.Responses}
	case !out.Applied:
		free()
		return Member{}, joinAnswer{}, &RefusedError{out.Responses}
	}
	me = Member{Key: key, Fence: out.Revision, Value: j.Value}
	if prev := out.Responses[0].Put.PrevKV; prev != nil { // by an earlier try
		me.Fence = prev.CreateRevision
	}
	return me, l.answerOf(me, out, others), nil
}

// removed returns the error of a member that has lost its key while it waited: the session's error
// if its lease has ended too, and otherwise a [core.ErrKeyDeleted].
func (l *Line) removed(ctx context.Context, me Member) error {
	if err := l.Session.Verify(ctx); err != nil {
		return err
	}
	return l.Session.KeyDeleted(ctx, me.Key, me.Fence)
}

// endCause returns the session's error if the session has ended and ended ctx, and else err.
func (l *Line) endCause(ctx context.Context, err error) error {
	if lost := l.Session.Err(); lost != nil && ctx.Err() != nil {
		return lost
	}
	return err
}

// abandon removes the member from the line in the background.
func (l *Line) abandon(me Member, free func()) {
	l.Session.Compensate(core.Write{
		Compensation: core.Deletion(me.Key),
		OnResolved:   free,
	})
}
