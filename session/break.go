package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// Break removes a hold or a waiter of any process, by the key and the fence that the Inspect
// methods of the recipes return. It needs no session, and deletes only this incarnation of the key.
// The next waiter acquires the hold at once. The holder's context ends with [ErrKeyDeleted] within
// about a second; a holder of another library may not notice.
//
// Break returns [ErrNotHeld] when this incarnation was gone, and [gateway.ErrInvalid] when the
// reason is blank; the reason is not stored. After [gateway.ErrUncertain] it may be repeated.
func Break(ctx context.Context, c *gateway.Client, key string, fence int64, reason string) error {
	switch {
	case c == nil:
		return invalid("no client")
	case fence <= 0: // a compare with 0 holds for a missing key
		return invalid("%d is no fence", fence)
	case strings.TrimSpace(reason) == "":
		return invalid("no reason to break a hold")
	}
	resp, err := c.Txn(ctx, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, fence)},
		Then: []gateway.Op{gateway.OpDelete(key)},
	})
	if err == nil && !resp.Succeeded {
		err = ErrNotHeld
	}
	if err != nil {
		return fmt.Errorf("session: break %s: %w", key, err)
	}
	return nil
}
