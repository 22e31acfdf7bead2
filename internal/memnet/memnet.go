// Package memnet is a network in memory, for tests: connections are [net.Pipe] pairs, so that a real http.Server and a
// real http.Transport run inside a testing/synctest bubble, where time is fake.
//
// Make a listener inside the bubble that uses it, and close it, its server and its clients before the bubble ends. A
// pipe has no buffer: a peer that does not read blocks the writer, as a black-holed link does once its buffers are full.
package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Listener is a [net.Listener] that is reached through its Dial alone.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Listen makes a listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Dial connects to the listener; it fits gateway.Config.DialContext. Where nobody accepts it waits until ctx ends, as
// for a host that is down; after Close it is refused.
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

// Accept gives the other end of the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections; those that stand go on. It may be called again.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is the same for all listeners.
func (l *Listener) Addr() net.Addr { return addr{} }

// Network holds several listeners under the addresses that clients dial, "a:2379". It must not be changed once it is in
// use.
type Network map[string]*Listener

// Dial connects to the listener of that address; without one it is refused.
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
