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

// meter is a connection that knows whether anything has been written to it since a mark. What was not written when its
// request failed never will be: seal sees to it.
type meter struct {
	net.Conn
	tls    bool
	writes atomic.Int64 // that have begun, without those that failed before their first byte; sealed: none may begin
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
			m.writes.Add(-1) // of other connections it is not known what such an n means
		}
		m.letAlertBeRead()
	}
	return n, err
}

// seal reports whether nothing has been written since the mark, and forbids writing then.
func (m *meter) seal(mark int64) bool { return m.writes.CompareAndSwap(mark, sealed) }

func (m *meter) Close() error {
	m.once.Do(func() { close(m.closed) })
	return m.Conn.Close()
}

// alertTime is enough for what the kernel has received already.
const alertTime = 100 * time.Millisecond

// letAlertBeRead holds back the error of a write while the other side is read, because with TLS 1.3 a server that refuses the
// client's certificate says so after the client has begun to send. "broken pipe" would not name the cause.
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

// delivery is how far an attempt has come.
type delivery struct {
	connected func() // is called when there is a connection

	mu     sync.Mutex
	asked  bool // the transport reports connections
	got    bool // a connection
	reused bool // which has served others before
	meter  *meter
	mark   int64
}

// follow returns a context under which the transport reports to d.
func (d *delivery) follow(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			d.mu.Lock()
			d.asked = true
			d.got = d.got && d.meter == nil // our own transport asks again only if it has written nothing
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

// nothingSent reports that no byte of the request has been written, nor ever will be. It is for requests that have failed.
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
