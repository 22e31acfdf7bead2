package line

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// Standing is a line at one revision, with the leases of its keys.
type Standing struct {
	Snapshot
	Admitted int // members at the front
	// Under are the leases of the members' keys, 0 without one. A key that was put again may be
	// under another lease than its name says, or under none.
	Under map[string]gateway.LeaseID
}

// Standings reads lines of one session at one revision, also after the session has ended. Returns
// [gateway.ErrInvalid] for lines that cannot be held together, and else the error of the request.
func Standings(ctx context.Context, lines []*Line) ([]Standing, error) {
	if err := checkNames(lines); err != nil {
		return nil, err
	}
	var t gateway.Txn
	for _, l := range lines {
		t.Then = append(t.Then, gateway.OpGet(l.prefix(), gateway.Prefix()))
	}
	resp, err := lines[0].Session.Client().Txn(ctx, t)
	if err != nil {
		return nil, err
	}
	out := make([]Standing, len(lines))
	for i, l := range lines {
		read := resp.Responses[i].Get
		read.Revision = resp.Revision
		v := Standing{Snapshot: snapshotOf(read, l.prefix()), Under: map[string]gateway.LeaseID{}}
		for _, kv := range read.KVs {
			v.Under[kv.Key] = kv.Lease
		}
		v.Admitted = l.Rule(v.Snapshot)
		out[i] = v
	}
	return out, nil
}
