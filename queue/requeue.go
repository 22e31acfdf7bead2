package queue

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// Requeue gives the item back as if it had not been received: at once, in its old place, and without counting the
// attempt. It is for a consumer that finds that it cannot work at all, so that MaxAttempts must not move the item to the
// dead letters. A consumer that calls it should stop receiving, because it would get the same item again.
//
// Errors are those of [Message.Nack].
func (m *Message) Requeue(ctx context.Context) error {
	count, returns := m.q.keys.counts+m.place, m.q.keys.returns+m.place
	uncount := gateway.OpTxn(gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpVersion(count, gateway.Equal, 1)},
		Then: []gateway.Op{gateway.OpDelete(count)},
		Else: []gateway.Op{gateway.OpPut(returns, nil)},
	})
	if err := m.grip.ReleaseWith(ctx, append(m.inPlace(), uncount)...); err != nil {
		return m.q.wrap("requeue", err)
	}
	m.returned()
	return nil
}
