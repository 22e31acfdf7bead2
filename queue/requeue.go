package queue

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Requeue gives the item back as if it had not been received: at once, in its old place, and
// without counting the attempt. Use it in a consumer that cannot work at all, so that MaxAttempts
// does not move the item to the dead letters. The consumer should then stop receiving, because it
// would receive the same item again. See [Message] for its errors.
func (m *Message) Requeue(ctx context.Context) error {
	count, returns := m.q.keys.counts+m.place, m.q.keys.returns+m.place
	uncount := gateway.OpTxn(gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpVersion(count, gateway.Equal, 1)},
		Then: []gateway.Op{gateway.OpDelete(count)},
		Else: []gateway.Op{gateway.OpPut(returns, nil)},
	})
	w := core.ReleaseWrite{Then: m.inPlace()}
	if m.counted {
		w.Then = append(w.Then, uncount)
	}
	if err := m.grip.ReleaseWith(ctx, w); err != nil {
		return m.q.wrap("requeue", err)
	}
	m.returned()
	return nil
}
