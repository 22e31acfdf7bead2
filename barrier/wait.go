package barrier

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// reader is a line as waits read it, with or without a session.
type reader interface {
	Now(ctx context.Context) (line.Snapshot, error)
	Until(ctx context.Context, done func(line.Snapshot) (bool, error)) error
}

// clientReader reads the place without a session. The line of the place has none.
func (p *place) clientReader(c *gateway.Client) reader {
	return &line.Reader{
		Client: c, Name: p.line.Name, Kind: p.line.Kind, Rule: p.line.Rule,
		RecordPrefix: session.DefaultRecordPrefix,
	}
}

// Wait is [Barrier.Wait] without a session. It holds nothing at etcd, and needs the right to read
// the keys of the barrier only. Returns the context's error when ctx ends first.
func Wait(ctx context.Context, c *gateway.Client, name string) error {
	b := New(nil, name)
	return b.line.Wrap("wait", waitDown(ctx, b.clientReader(c)))
}

// WaitLatch is [Latch.Wait] without a session, for a latch of n counts. It holds nothing at etcd,
// and needs the right to read the keys of the latch only. Returns the context's error when ctx ends
// first, and [ErrConfigMismatch] when the name was declared for another number.
func WaitLatch(ctx context.Context, c *gateway.Client, name string, n int) error {
	l := NewLatch(nil, name, n)
	err := l.checkNumber()
	if err == nil {
		err = l.waitOpen(ctx, l.clientReader(c))
	}
	return l.line.Wrap("wait", err)
}

// CountLatch is [Latch.Count] without a session: it reads the number of counts until a latch of n
// counts opens. Returns [ErrConfigMismatch] when the name was declared for another number.
func CountLatch(ctx context.Context, c *gateway.Client, name string, n int) (int, error) {
	l := NewLatch(nil, name, n)
	left, err := l.count(ctx, l.clientReader(c))
	return left, l.line.Wrap("count", err)
}
