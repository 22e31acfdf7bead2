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

// Standing reads the line once, also after the session has ended. Returns [gateway.ErrInvalid] when
// the line's name is not allowed, and else the error of the request.
func (l *Line) Standing(ctx context.Context) (Standing, error) {
	if err := l.checkName(); err != nil {
		return Standing{}, err
	}
	resp, err := l.Session.Client().Get(ctx, l.prefix(), gateway.Prefix())
	if err != nil {
		return Standing{}, err
	}
	v := Standing{Snapshot: snapshotOf(resp, l.prefix()), Under: map[string]gateway.LeaseID{}}
	for _, kv := range resp.KVs {
		v.Under[kv.Key] = kv.Lease
	}
	v.Admitted = l.Rule(v.Snapshot)
	return v, nil
}
