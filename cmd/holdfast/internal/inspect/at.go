package inspect

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// At reads one name as it was at a revision. It returns [gateway.ErrCompacted] and
// [gateway.ErrFutureRevision] for a revision that etcd does not have, and else the error of a
// failed request.
func At(ctx context.Context, c *gateway.Client, name string, revision int64) (*Place, error) {
	at := gateway.AtRevision(revision)
	p, _, err := membersOf(ctx, c, name, at)
	if err != nil {
		return nil, err
	}
	claims, err := c.Get(ctx, claimPrefix(name), gateway.Prefix(), gateway.KeysOnly(), at)
	if err != nil {
		return nil, err
	}
	for _, kv := range claims.KVs {
		p.Recipe = Queue
		p.Members = append(p.Members, Member{Key: kv.Key})
	}
	return p, (&reader{c: c, revision: revision}).fill(ctx, p)
}
