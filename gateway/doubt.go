package gateway

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// One odd answer may be that of a member, or of something on the way, that is wrong by itself: the end of all that a
// client holds must not rest on it. So it is asked for again, at another endpoint if there is one.

var errNoHeader = fmt.Errorf("%w: the answer does not say of which cluster and revision it is", ErrProtocol)

// whole refuses an answer that says nothing of the cluster, where etcd says it: what was read is as little worth.
func whole(h etcdjson.Header, r *call) error {
	if (r.linear || r.lease) && h.ClusterID == 0 || r.linear && h.Revision <= 0 {
		return errNoHeader
	}
	return nil
}

// doubtful says that the answer, if it is right, ends more than the call.
func (e *Error) doubtful() bool {
	return errors.Is(e, ErrClusterMismatch) || errors.Is(e, ErrRevisionRegressed) || errors.Is(e, errNoHeader)
}

// doubts are the endpoints that gave a doubtful answer to one call.
type doubts []*endpoint

// confirmed notes one, and tells whether a second endpoint, or the only one there is, has said the same.
func (d *doubts) confirmed(ep *endpoint, endpoints int) bool {
	confirmed := slices.ContainsFunc(*d, func(other *endpoint) bool { return other != ep || endpoints == 1 })
	*d = append(*d, ep)
	return confirmed
}
