package queue

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// Requeue gives the item back as if it had not been received: at once, in its old place, and
// without counting the attempt. Use it in a consumer that cannot work at all, so that MaxAttempts
// does not move the item to the dead letters. The consumer should then stop receiving, because it
// would receive the same item again. See [Message] for its errors.
func (m *Message) Requeue(ctx context.Context) error {
	var uncount []gateway.Op
	if m.counted {
		returned := gateway.OpPut(m.q.keys.returns+m.place, nil)
		uncount = append(uncount, m.q.takeBack(m.place, returned))
	}
	err := m.giveBack(ctx, Requeued, append(m.forgetRetry(), uncount...)...)
	if err == nil {
		m.returned()
	}
	return err
}
