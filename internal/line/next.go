package line

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// The next member. In a line whose rule admits the first member only, a member that must yield to
// others watches the member ahead of it, its own key, the settings, and the members with a mark.
// The events of several watches can arrive out of order, and a member far back may have been put
// again for another reason than its admission. So the member is admitted only by a read of all
// these keys, and of all members ahead, at one revision.

// errBack is returned for a member that is not the next.
var errBack = errors.New("not the next")

// waitNext returns nil when the rule admits a member that must yield, and errBack when several
// members are ahead of it. before is its predecessor, or zero, and gone reports whether that may
// have left.
func (l *Line) waitNext(ctx context.Context, j Join, me, before Member, gone bool) error {
	abort := j.Abort
	j.Abort = func(v Snapshot, me Member) error {
		if len(v.Settings) > 0 {
			return errNear // Abort may depend on members without a mark
		}
		return abort(v, me)
	}
	for ; ; gone = false {
		if !gone {
			if err := l.followNext(ctx, j, me, before); err != nil {
				return err
			}
		}
		v, err := l.readNext(ctx, me, before)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(v.Members, me.is)
		if at < 0 {
			return errRemoved
		}
		if err := j.Abort(v, me); err != nil || l.Rule(v) > at {
			return err
		}
		if at > 1 {
			return errBack
		}
		before = v.Members[at-1]
	}
}

// readNext returns the line without the members that have no mark and are behind the member.
// Returns errBack when more than one member is ahead. before was the member's predecessor, or is
// zero. If it has left its mark, etcd reads only the settings and the members with a mark.
func (l *Line) readNext(ctx context.Context, me, before Member) (Snapshot, error) {
	small, to := l.settingsAndMarked()
	for front := int64(frontKeys); ; front *= 8 {
		t := gateway.Txn{
			Then: []gateway.Op{gateway.OpGet(small, to)},
			Else: []gateway.Op{
				gateway.OpGet(small, to),
				gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.MaxCreateRevision(me.Fence),
					gateway.SortBy(gateway.SortCreateRevision, gateway.Ascend),
					gateway.Limit(front)),
			},
		}
		if before.Key == "" {
			t.Then, t.Else = t.Else, nil
		} else {
			t.If = l.isFirstBehind(before, me)
		}
		resp, err := l.Session.Client().Txn(ctx, t)
		if err != nil {
			return Snapshot{}, err
		}
		if len(t.Else) > 0 && resp.Succeeded {
			v := snapshotOf(merged(resp), l.prefix())
			if !slices.ContainsFunc(v.Members, me.is) {
				v.Members = slices.Insert(v.Members, 0, me) // all others joined later
			}
			return v, nil
		}
		if !resp.Responses[1].Get.More {
			return snapshotOf(merged(resp), l.prefix()), nil
		}
		resp.Responses = resp.Responses[1:]
		if ahead := snapshotOf(merged(resp), l.prefix()).Members; len(ahead) > 2 {
			return Snapshot{}, errBack
		}
	}
}

// merged returns the keys that the reads of a transaction have returned, each once.
func merged(resp *gateway.TxnResponse) *gateway.GetResponse {
	read := &gateway.GetResponse{Header: resp.Header}
	seen := map[string]bool{}
	for _, r := range resp.Responses {
		for _, kv := range r.Get.KVs {
			if !seen[kv.Key] {
				seen[kv.Key] = true
				read.KVs = append(read.KVs, kv)
			}
		}
	}
	return read
}

// followNext returns nil when before may have left the line.
func (l *Line) followNext(ctx context.Context, j Join, me, before Member) error {
	m := newMirror(l.Session.Client(), l.prefix(), l.Rule)
	small, to := l.settingsAndMarked()
	n := &next{mirror: m, client: l.Session.Client()}
	n.txn.Then = append(n.txn.Then, gateway.OpGet(small, to))
	keys := []string{small}
	for _, o := range []Member{before, me} {
		if !l.isMarked(o) {
			keys = append(keys, o.Key)
			n.txn.Then = append(n.txn.Then, gateway.OpGet(o.Key))
		}
	}
	m.Cache = listwatch.New(n.client, n, keys)
	m.WatchOptions(small, to)
	for _, key := range keys[1:] {
		m.WatchOptions(key, gateway.NoPut())
	}
	defer m.Close()
	_, err := l.waitIn(ctx, m, j, me)
	return err
}

// next is the reducer of a mirror of the next member, its predecessor, the settings and the members
// with a mark.
type next struct {
	*mirror
	client *gateway.Client
	txn    gateway.Txn
}

func (n *next) Read(ctx context.Context) (*gateway.GetResponse, error) {
	resp, err := n.client.Txn(ctx, n.txn)
	if err != nil {
		return nil, err
	}
	return merged(resp), nil
}
