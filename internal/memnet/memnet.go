// Package memnet is a network in memory, for tests under fake time.
//
// # Usage
//
// Connections are [net.Pipe] pairs, so that a real http.Server and a real http.Transport can run
// inside a testing/synctest bubble. Create a listener inside the bubble that uses it, and close it,
// its server and its clients before the bubble ends.
//
// # Limitations
//
// A pipe has no buffer: a peer that does not read blocks the writer, like a black-holed link with
// full buffers.
//
// # Concurrency
//
// The methods of [Listener] and [Network] are safe for concurrent use.
package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Listener is a [net.Listener] that accepts the connections of its Dial.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Listen returns a new listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Dial connects to the listener. It can be used as gateway.Config.DialContext. It waits until the
// server accepts, like a dial to a host that is down. Returns ctx's error when ctx ends first, and
// [syscall.ECONNREFUSED] when the listener is closed.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-l.done:
		return nil, refused()
	default:
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, refused()
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: ctx.Err()}
	}
}

// Accept waits for the next connection and returns the server's end. Returns [net.ErrClosed] when
// the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections and keeps the existing ones. It always returns nil and may be
// called again.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns the same address for all listeners.
func (l *Listener) Addr() net.Addr { return addr{} }

// Network holds listeners by the addresses that clients dial, such as "a:2379". It must not be
// changed after its first use.
type Network map[string]*Listener

// Dial calls the Dial of the address's listener. Returns [syscall.ECONNREFUSED] when there is none.
func (n Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	l := n[address]
	if l == nil {
		return nil, refused()
	}
	return l.Dial(ctx, network, address)
}

func refused() error { return &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED} }

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }
