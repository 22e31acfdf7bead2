package inspect

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// At reads one name as it was at a revision. It returns [gateway.ErrCompacted] and
// [gateway.ErrFutureRevision] for a revision that etcd does not have, and else the error of a
// failed request.
func At(ctx context.Context, c *gateway.Client, name string, revision int64) (*Place, error) {
	all, err := readNames(ctx, c, revision, name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}
