package core

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/google/uuid"

	"github.com/holdfast-go/holdfast/gateway"
)

// A detachable hold can change its owner while its key keeps its create_revision, and with it its
// place in the line: no other member, also of another library, can be admitted meanwhile. So the
// key's value, and not the create_revision, identifies the owner. The value is the guard of a
// detachable hold, and each change of the owner writes another:
//
//	held:<lease>:<id> ──Detach──▶ detached:<id> ──Adopt──▶ held:<lease>:<id> …
//
// An adopted hold needs a fence above the earlier ones and below the create_revisions of the
// members behind it, which are their fences. The fence grows by one with each Adopt, as long as no
// member has joined at just that revision. Members that join later have greater ones.

const (
	heldValue     = "held:"
	detachedValue = "detached:"
)

func (s *Session) newOwner() string {
	return heldValue + s.lease.String() + ":" + uuid.NewString()
}

// Owner is the owner that the value of a detachable hold's key names.
type Owner struct {
	Lease    gateway.LeaseID // 0 if it is detached
	Detached bool
}

// OwnerOf reads the value of a member's key. ok is false if the hold is not detachable.
func OwnerOf(value string) (_ Owner, ok bool) {
	if strings.HasPrefix(value, detachedValue) {
		return Owner{Detached: true}, true
	}
	rest, ok := strings.CutPrefix(value, heldValue)
	if !ok {
		return Owner{}, false
	}
	hex, _, _ := strings.Cut(rest, ":")
	lease, err := gateway.ParseLeaseID(hex)
	return Owner{Lease: lease}, err == nil
}

// Detached is a hold without a session.
type Detached struct {
	Key     string
	Created int64 // the key's create_revision
	Fence   int64 // of its last owner
	ID      string
}

// Guard returns compares that hold until the hold ends or has another owner.
func (d Detached) Guard() []gateway.Cmp {
	return []gateway.Cmp{
		gateway.CmpCreateRevision(d.Key, gateway.Equal, d.Created),
		gateway.CmpValue(d.Key, gateway.Equal, d.Value()),
	}
}

// Value returns the value of the key.
func (d Detached) Value() []byte { return []byte(detachedValue + d.ID) }

// In reports whether keys that were read are the hold.
func (d Detached) In(kvs []gateway.KeyValue) bool {
	return holdsValue(kvs, d.Value()) && kvs[0].CreateRevision == d.Created
}

// hasRoom returns a compare that holds if no member was created at the revision fence.
func hasRoom(key string, fence int64) gateway.Cmp {
	dir, _ := path.Split(key)
	return gateway.CmpCreateRevision(dir, gateway.NotEqual, fence).Prefix()
}

// MakeDetachable puts the owner into the key's value. Only the recipe calls it, before others may
// release the hold. room is false if there is no fence for an Adopt; nothing was written then,
// unless anyway is true.
func (g *Releaser) MakeDetachable(ctx context.Context, anyway bool) (room bool, _ error) {
	h, s := g.h, g.h.s
	owner := s.newOwner()
	w := Write{
		If:   []gateway.Cmp{h.Guard()},
		Then: []gateway.Op{gateway.OpPut(h.key, []byte(owner), gateway.WithLease(s.lease))},
		Else: []gateway.Op{gateway.OpGet(h.key)},
	}
	if !anyway {
		w.If = append(w.If, hasRoom(h.key, h.fence+1))
	}
	out, err := s.Write(ctx, w)
	if err != nil {
		return false, err
	}
	if !out.Applied {
		found := out.Responses[0].Get.KVs
		if len(found) == 0 || found[0].CreateRevision != h.fence {
			return false, s.KeyDeleted(ctx, h.key, h.fence)
		}
		if string(found[0].Value) != owner { // else put by an earlier try
			return false, nil
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owner = owner
	return true, nil
}

// Detach ends the hold and puts its key under another lease. It returns [ErrNotHeld] when the hold
// had ended before. When the outcome is not known, it returns [gateway.ErrUncertain], and the
// session releases the hold in the background. After any other error the hold has ended and its
// key is there, as after a Release that etcd has rejected.
func (g *Releaser) Detach(ctx context.Context, lease gateway.LeaseID) (_ Detached, err error) {
	h, s := g.h, g.h.s
	lostBefore := h.Err() // reads the clock
	g.mu.Lock()
	if g.state != releaseHeld || g.foreign || lostBefore != nil {
		g.mu.Unlock()
		if lostBefore == nil {
			lostBefore = lost(ErrKeyDeleted)
		}
		return Detached{}, awaitRecord(ctx, &notHeldError{lostBefore})
	}
	g.state = releaseUnderWay
	g.close()
	g.mu.Unlock()
	d := Detached{Key: h.key, Created: h.fence, Fence: h.Fence(), ID: uuid.NewString()}
	then := []gateway.Op{gateway.OpPut(h.key, d.Value(), gateway.WithLease(lease))}
	if h.limit != nil {
		then = append(then, gateway.OpDelete(s.sinceKey(h.key)))
	}
	before := gateway.Txn{If: []gateway.Cmp{h.Guard()}, Then: g.deletion[:]}
	after := gateway.Txn{If: d.Guard(), Then: g.deletion[:]}
	out, err := s.Write(ctx, Write{
		If: before.If, Then: then, Else: []gateway.Op{gateway.OpGet(h.key)},
		Compensation: func() []gateway.Op {
			return []gateway.Op{gateway.OpTxn(before), gateway.OpTxn(after)}
		},
		CompleteOnCancel: true, resolver: g,
	})
	answered := err == nil
	if answered && !out.Applied && !holdsValue(out.Responses[0].Get.KVs, d.Value()) {
		err = &notHeldError{s.KeyDeleted(ctx, h.key, h.fence)}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case answered:
		g.state = releaseDone // the key is not freed, because only this session's end frees it
	case g.failed(out, err): // perhaps after it was applied
		err = uncertain(&notHeldError{err})
	}
	return d, err
}

func (h *Hold) detachable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owner != ""
}

func holdsValue(kvs []gateway.KeyValue, value []byte) bool {
	return len(kvs) == 1 && string(kvs[0].Value) == string(value)
}

// ErrNoFence is documented at mutex.ErrNoFence.
var ErrNoFence = errors.New("no fence is left before the next waiter")

// Adopt takes a detached hold into the session, with a new fence and guard. It returns [ErrNotHeld]
// when the hold has ended or another session has adopted it, and [ErrNoFence] when there is no
// fence for it; it is unchanged then. When the outcome is not known, it returns
// [gateway.ErrUncertain], and the session releases the hold in the background if it has adopted it.
func Adopt(ctx context.Context, s *Session, d Detached) (*Hold, *Releaser, error) {
	if err := s.Ready(ctx); err != nil {
		return nil, nil, err
	}
	owner, fence := s.newOwner(), d.Fence+1
	own := []gateway.Cmp{gateway.CmpValue(d.Key, gateway.Equal, []byte(owner))}
	out, err := s.Write(ctx, Write{
		If: append(d.Guard(), hasRoom(d.Key, fence)),
		Then: []gateway.Op{gateway.OpPut(
			d.Key, []byte(owner), gateway.WithLease(s.lease), gateway.PrevKV())},
		Else:         []gateway.Op{gateway.OpGet(d.Key)},
		Compensation: onlyIf(own, gateway.OpDelete(d.Key)),
	})
	if err != nil {
		return nil, nil, err
	}
	known := out.Revision
	if !out.Applied {
		found := out.Responses[0].Get.KVs
		switch {
		case holdsValue(found, []byte(owner)): // by an earlier try
			known = found[0].ModRevision
		case d.In(found):
			return nil, nil, fmt.Errorf(
				"%w: a member of the line has joined at %d", ErrNoFence, fence)
		default:
			return nil, nil, ErrNotHeld
		}
	} else if was := out.Responses[0].Put.PrevKV; was != nil && was.Lease != 0 {
		// Its time may be long, and it has no key any more.
		s.Background(func(ctx context.Context) { _ = s.c.Revoke(ctx, was.Lease) })
	}
	h, g := s.Hold(d.Key, d.Created, func() {}) // another session has reserved the key
	h.mu.Lock()
	h.owner, h.moved, h.known = owner, fence, known
	h.mu.Unlock()
	return h, g, nil
}
