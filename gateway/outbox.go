package gateway

import (
	"io"
	"sync"
)

// outbox is the request body of a stream. Writes are sent as soon as the transport reads them.
// Writing never blocks, so that it is allowed with a lock held.
type outbox struct {
	mu     sync.Mutex
	more   sync.Cond
	buf    []byte
	closed bool
}

func newOutbox() *outbox {
	o := &outbox{}
	o.more.L = &o.mu
	return o
}

func (o *outbox) write(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.buf = append(o.buf, line...)
		o.more.Signal()
	}
}

// Read is called by the transport alone.
func (o *outbox) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) == 0 && !o.closed {
		o.more.Wait()
	}
	if o.closed {
		return 0, io.EOF
	}
	n := copy(p, o.buf)
	o.buf = o.buf[:copy(o.buf, o.buf[n:])]
	return n, nil
}

// Close ends the body. The transport calls it too.
func (o *outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.more.Broadcast()
	return nil
}
