package gateway

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// An odd answer may be the fault of one member, or of a proxy. It must not end everything that a
// client holds, so the request is sent again, to another endpoint if there is one.

var errNoHeader = fmt.Errorf(
	"%w: the answer does not say of which cluster and revision it is", ErrProtocol)

// whole rejects an answer without the cluster and revision that etcd always sends, because its
// content is then just as doubtful.
func whole(h etcdjson.Header, r *call) error {
	if (r.linear || r.lease) && h.ClusterID == 0 || r.linear && h.Revision <= 0 {
		return errNoHeader
	}
	return nil
}

// doubtful reports whether the answer, if it is right, ends more than the call.
func (e *Error) doubtful() bool {
	return errors.Is(e, ErrClusterMismatch) || errors.Is(e, ErrRevisionRegressed) ||
		errors.Is(e, errNoHeader)
}

// doubts are the endpoints that gave a doubtful answer to one call.
type doubts []*endpoint

// confirmed adds an endpoint, and reports whether a second one, or the only one there is, has
// answered the same.
func (d *doubts) confirmed(ep *endpoint, endpoints int) bool {
	confirmed := slices.ContainsFunc(*d, func(other *endpoint) bool {
		return other != ep || endpoints == 1
	})
	*d = append(*d, ep)
	return confirmed
}
