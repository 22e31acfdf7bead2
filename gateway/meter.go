package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// meter is a connection that records whether anything has been written to it since a mark. If
// nothing was written when a request failed, seal prevents later writes.
type meter struct {
	net.Conn
	tls bool
	// writes counts the writes that have begun, without those that failed before their first byte;
	// sealed: none may begin.
	writes atomic.Int64
	once   sync.Once
	closed chan struct{}
}

const sealed = -1

var errSealed = errors.New("the request has been given up")

func (m *meter) Write(b []byte) (int, error) {
	for {
		n := m.writes.Load()
		if n == sealed {
			return 0, errSealed
		}
		if m.writes.CompareAndSwap(n, n+1) {
			break
		}
	}
	n, err := m.Conn.Write(b)
	if err != nil {
		if _, kernel := m.Conn.(syscall.Conn); kernel && n == 0 {
			m.writes.Add(-1) // other connections may mean something else by n
		}
		m.letAlertBeRead()
	}
	return n, err
}

// seal reports whether nothing has been written since the mark, and then forbids writing.
func (m *meter) seal(mark int64) bool { return m.writes.CompareAndSwap(mark, sealed) }

func (m *meter) Close() error {
	m.once.Do(func() { close(m.closed) })
	return m.Conn.Close()
}

// alertTime is enough to read the bytes that the kernel has received already.
const alertTime = 100 * time.Millisecond

// letAlertBeRead delays the error of a write while the other side is read. With TLS 1.3 a server
// that rejects the client's certificate sends its alert after the client has begun to send, and
// "broken pipe" would not name the cause.
func (m *meter) letAlertBeRead() {
	if !m.tls {
		return
	}
	t := time.NewTimer(alertTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-m.closed:
	}
}

// delivery records how far an attempt has advanced.
type delivery struct {
	connected func() // is called when there is a connection

	mu     sync.Mutex
	asked  bool // the transport reports connections
	got    bool // a connection
	reused bool // the connection has served others before
	meter  *meter
	mark   int64
}

// follow returns a context under which the transport reports to d.
func (d *delivery) follow(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			d.mu.Lock()
			d.asked = true
			// Our own transport asks again only if it has written nothing.
			d.got = d.got && d.meter == nil
			d.mu.Unlock()
		},
		GotConn: d.gotConn,
	})
}

func (d *delivery) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	m, _ := conn.(*meter)
	d.mu.Lock()
	d.got, d.reused, d.meter = true, info.Reused, m
	if m != nil {
		d.mark = m.writes.Load()
	}
	d.mu.Unlock()
	d.connected()
}

// nothingSent reports that no byte of the request has been written, nor ever will be. It is for
// requests that have failed.
func (d *delivery) nothingSent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.got {
		return d.asked
	}
	return d.meter != nil && d.meter.seal(d.mark)
}

// onUsedConn reports that the connection had served other requests.
func (d *delivery) onUsedConn() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got && d.reused
}
