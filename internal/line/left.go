package line

import (
	"context"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// The mark of a release. A member far back that has lost its predecessor is nearly always the first
// of the line then. To find that out by a read, etcd has to look at all keys of the line. So the
// release of a holder that has itself waited very far back puts a mark beside the record of its
// session, in the transaction that deletes its key. The mark is the fence and the key of the
// holder, and each session has one at most. The member asks whether its predecessor has left this
// mark, and etcd reads the line only if not.
//
// A member whose predecessor has left the mark is the first of the line:
//
//   - The predecessor was seen right before the member at one revision, and later members join
//     behind both. So all others ahead of the member were ahead of its predecessor, too.
//   - The predecessor was admitted because no member was ahead of it.
//   - The mark is put with the deletion of just that incarnation of the predecessor's key. A late
//     copy of the release, or a repeated one, is applied with the deletion or not at all.
//
// A hold puts no mark if it may have been admitted beside others, or before the members ahead of it
// had left. Nor does one whose key may be passed on, or is deleted in any other way than by a
// release: by Break, by the end of its session, by the owner of a detached hold or because it was
// abandoned while it waited. The member reads the line then, as it does if the session has put
// another mark since.

func (l *Line) markKey(lease gateway.LeaseID) string {
	return core.RecordKey(l.Session, lease) + "/left"
}

// marks reports whether the release of a member that was admitted as a puts a mark.
func (l *Line) marks(j Join, found joinAnswer, a admission) bool {
	return a.direct && found.veryFarBack() && (j.Exclusive || j.Yield) && !l.Defer
}

func leftValue(m Member) []byte {
	return []byte(strconv.FormatInt(m.Fence, 10) + " " + m.Key)
}

// putMark returns the operation of a release that puts the mark.
func (l *Line) putMark(me Member) gateway.Op {
	lease := l.Session.Lease()
	return gateway.OpPut(l.markKey(lease), leftValue(me), gateway.WithLease(lease))
}

// isFirstBehind returns comparisons that hold if the member is in the line, and its predecessor,
// which it has seen leave, has left its mark.
func (l *Line) isFirstBehind(left, me Member) []gateway.Cmp {
	return []gateway.Cmp{
		gateway.CmpValue(l.markKey(keyLease(left.Key)), gateway.Equal, leftValue(left)),
		gateway.CmpCreateRevision(me.Key, gateway.Equal, me.Fence),
	}
}

// lastKeys returns the last keys of the line up to the member, with the options. If left is not
// nil, it was the member's predecessor. If it has left its mark, the answer is nil. Because of the
// read in Else, etcd answers from its latest revision in both cases.
func (l *Line) lastKeys(
	ctx context.Context, me Member, left *Member, opts ...gateway.Option,
) (*gateway.GetResponse, error) {
	c := l.Session.Client()
	if left == nil {
		return c.Get(ctx, l.prefix(), opts...)
	}
	resp, err := c.Txn(ctx, gateway.Txn{
		If:   l.isFirstBehind(*left, me),
		Else: []gateway.Op{gateway.OpGet(l.prefix(), opts...)},
	})
	if err != nil || resp.Succeeded {
		return nil, err
	}
	read := resp.Responses[0].Get
	read.Header = resp.Header
	return read, nil
}
