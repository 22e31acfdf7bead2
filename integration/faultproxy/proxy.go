package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

// A Direction is one of the two ways through a proxy.
type Direction int

const (
	// Up is from the client to the target.
	Up Direction = 1 << iota
	// Down is from the target to the client.
	Down
	// Both is Up and Down.
	Both = Up | Down
)

// A Proxy passes TCP connections to a target and simulates a faulty network. A fault affects open
// and new connections at once. Faults add up until Heal. Its methods are safe for concurrent use.
type Proxy struct {
	scheme string
	target string
	port   *ports.Port
	dial   func() (net.Conn, error)
	cancel context.CancelFunc // ends dial
	serve  sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	up, down weather
	open     map[conversation]struct{}
	accepted int
	closed   bool
}

// New starts a proxy for target on a loopback port of its own. Target is a URL, such as a member's
// endpoint, or a host and port. New returns an error if no port is free.
func New(target string) (*Proxy, error) {
	scheme, addr, ok := strings.Cut(target, "://")
	if !ok {
		scheme, addr = "http", target
	}
	p := &Proxy{
		scheme: scheme,
		target: strings.TrimSuffix(addr, "/"),
		open:   make(map[conversation]struct{}),
	}
	var err error
	if p.port, err = ports.Reserve(); err != nil {
		return nil, fmt.Errorf("faultproxy: new: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.dial = func() (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", p.target)
	}
	if err := p.Admit(); err != nil {
		p.cancel()
		return nil, errors.Join(err, p.port.Release())
	}
	return p, nil
}

// Addr returns the host and port that clients connect to.
func (p *Proxy) Addr() string { return p.port.Addr() }

// URL returns the URL that clients connect to. It has the scheme of the target.
func (p *Proxy) URL() string { return p.scheme + "://" + p.Addr() }

// Blackhole loses all bytes in a direction. Connections stay open and new ones are accepted, but
// neither side is notified, not even when the other side closes. Heal resets every connection that
// lost bytes, because a TCP stream never continues after a gap.
func (p *Proxy) Blackhole(d Direction) { p.change(d, func(w *weather) { w.mode = swallow }) }

// Hold keeps all bytes in a direction back until Heal, which delivers them, as a network does that
// was cut and retransmits later.
func (p *Proxy) Hold(d Direction) { p.change(d, func(w *weather) { w.mode = hold }) }

// Delay delivers bytes in a direction later by the given time. It keeps their order and does not
// limit the number of bytes in flight.
func (p *Proxy) Delay(d Direction, delay time.Duration) {
	p.change(d, func(w *weather) { w.delay = delay })
}

// Reset ends all open connections with a TCP reset. It does not affect new ones.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.reset()
	}
}

// Refuse makes new connections fail as if no server listened, until Admit or Heal. Open connections
// stay. Refuse returns an error if the listener cannot be closed.
func (p *Proxy) Refuse() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	err := ports.Unlisten(p.listener)
	p.listener = nil
	if err != nil {
		return fmt.Errorf("faultproxy: refuse: %w", err)
	}
	return nil
}

// Admit ends Refuse. It returns an error if another program has the port by then.
func (p *Proxy) Admit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return nil
	}
	listener, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return fmt.Errorf("faultproxy: admit: %w", err)
	}
	p.listener = listener
	p.serve.Go(func() { p.acceptFrom(listener) })
	return nil
}

// Heal ends all faults. It delivers the held bytes and resets the connections that lost bytes. It
// returns an error if Admit does.
func (p *Proxy) Heal() error {
	p.change(Both, func(w *weather) { *w = weather{} })
	return p.Admit()
}

// Accepted returns how many connections were accepted.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Close resets all connections, stops listening and waits until all goroutines of the proxy have
// ended. A second call does nothing. Close returns an error if the port cannot be closed or
// released.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	open := slices.Collect(maps.Keys(p.open))
	p.mu.Unlock()

	err := p.Refuse()
	p.cancel()
	for _, c := range open {
		c.reset()
	}
	p.serve.Wait()
	return errors.Join(err, p.port.Release())
}

func (p *Proxy) change(d Direction, apply func(*weather)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d&Up != 0 {
		apply(&p.up)
	}
	if d&Down != 0 {
		apply(&p.down)
	}
	for c := range p.open {
		c.change(p.up, p.down)
	}
}

func (p *Proxy) acceptFrom(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.accepted++
		p.mu.Unlock()
		p.serve.Go(func() { p.handle(conn.(*net.TCPConn), nil) })
	}
}

// handle serves an accepted connection until it ends. The bytes in head were read from it before.
func (p *Proxy) handle(client *net.TCPConn, head []byte) {
	c, err := p.join(client)
	if err != nil {
		blindLink{client}.reset()
		return
	}
	if l, ok := c.(*link); ok && len(head) > 0 {
		l.up.push(parcel{data: head})
	}
	c.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// join connects a client connection to the target, unless all bytes to the target are lost, and
// registers the conversation.
func (p *Proxy) join(client *net.TCPConn) (conversation, error) {
	if c := p.joinBlind(client); c != nil {
		return c, nil
	}
	server, err := p.dial()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := newLink(client, server.(*net.TCPConn), p.up, p.down)
	return l, p.register(l)
}

func (p *Proxy) joinBlind(client *net.TCPConn) conversation {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up.mode != swallow {
		return nil
	}
	l := blindLink{client}
	if p.register(l) != nil {
		return nil
	}
	return l
}

// register adds a conversation; p.mu is held.
func (p *Proxy) register(c conversation) error {
	if p.closed {
		c.reset()
		return net.ErrClosed
	}
	p.open[c] = struct{}{}
	return nil
}
