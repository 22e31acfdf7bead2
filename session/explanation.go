package session

import (
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Explanation is why calls at a name wait, as etcd had it at one revision. The method Explain of
// a recipe returns it.
type Explanation struct {
	Revision int64
	// Key is the key of the first call of this session that waits there; empty if none does.
	Key string
	// Ahead is the number of members that wait ahead of that call, or of a new call if none waits.
	Ahead int
	// Holders are in the order in which they joined. Of many, only the first 10 are looked up.
	Holders []Holder
	// Needs are the things that have to happen before the call can go on, in sentences. Without
	// any, a call is granted at once.
	Needs []string
}

// Holder is a holder that others wait for.
type Holder struct {
	Key   string
	Lease gateway.LeaseID // of the key; 0 if it has none, and stays until it is deleted
	Fence int64
	// Session is nil for holders of other libraries, and where the user may not read it. Its
	// Started is the best that is known of how long it holds, because etcd does not keep the time
	// of a key.
	Session *Info
	TTL     time.Duration // the lease was granted for so long
	Left    time.Duration // the lease ends after so long if it is not renewed
	// Suspect says that more than half of TTL has passed without a renewal: the holder may have
	// died, or be cut off.
	Suspect bool
	// Detached says that no session holds a detached lock. It has no owner that could be Suspect.
	Detached bool
}

// String returns the Needs as one text for people.
func (e *Explanation) String() string {
	if len(e.Needs) == 0 {
		return "free"
	}
	return strings.Join(e.Needs, "; ")
}
