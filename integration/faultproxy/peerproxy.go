package faultproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

// A PeerProxy stands before the peer port of an etcd member. It has a Proxy for each member that connects, so that a
// single link can be broken: members say who they are in a header of their requests. What does not say so, such as a
// look at the version, is passed on whatever happens; none of it is raft's.
type PeerProxy struct {
	target   string
	port     *ports.Port
	listener net.Listener
	serve    sync.WaitGroup

	mu      sync.Mutex
	links   map[uint64]*Proxy     // by the member that connects; 0 for those that do not say who they are
	reading map[net.Conn]struct{} // of which it is not known yet
	closed  bool
}

// NewPeer starts a proxy on a loopback port of its own for target, the host and port that a member listens on for others.
func NewPeer(target string) (*PeerProxy, error) {
	p := &PeerProxy{target: target, links: make(map[uint64]*Proxy), reading: make(map[net.Conn]struct{})}
	var err error
	if p.port, err = ports.Reserve(); err != nil {
		return nil, fmt.Errorf("faultproxy: new peer proxy: %w", err)
	}
	if p.listener, err = net.Listen("tcp", p.port.Addr()); err != nil {
		return nil, errors.Join(fmt.Errorf("faultproxy: new peer proxy: %w", err), p.port.Release())
	}
	p.serve.Go(p.accept)
	return p, nil
}

// Addr returns the host and port that other members connect to.
func (p *PeerProxy) Addr() string { return p.port.Addr() }

// From returns the link of the connections that a member makes, by the id etcd gave it.
func (p *PeerProxy) From(id uint64) (*Proxy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	l, ok := p.links[id]
	if !ok {
		var err error
		if l, err = New(p.target); err != nil {
			return nil, err
		}
		p.links[id] = l
	}
	return l, nil
}

// Heal ends the faults of all links.
func (p *PeerProxy) Heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Heal())
	}
	return errors.Join(errs...)
}

// Close resets all connections, stops listening and waits until everything the proxy started is gone.
func (p *PeerProxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	errs := []error{p.listener.Close()}
	for c := range p.reading {
		_ = c.Close()
	}
	p.mu.Unlock()
	for _, l := range p.links { // nobody adds to them any more
		errs = append(errs, l.Close())
	}
	p.serve.Wait()
	return errors.Join(append(errs, p.port.Release())...)
}

func (p *PeerProxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.serve.Go(func() { p.handle(conn.(*net.TCPConn)) })
	}
}

// handle reads who connects from the first request, and hands the connection to that link.
func (p *PeerProxy) handle(conn *net.TCPConn) {
	if !p.track(conn, true) {
		return
	}
	head, err := readHead(conn)
	if !p.track(conn, false) {
		return
	}
	var l *Proxy
	if err == nil {
		id := sourceOf(head)
		if id == 0 {
			head = last(head)
		}
		l, err = p.From(id)
	}
	if err != nil {
		_ = conn.Close()
		return
	}
	l.handle(conn, head)
}

// track notes which connections Close has to end itself. It is false if it has done so.
func (p *PeerProxy) track(conn net.Conn, reading bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return false
	}
	if reading {
		p.reading[conn] = struct{}{}
	} else {
		delete(p.reading, conn)
	}
	return true
}

// maxHead is more than the head of any request between members has.
const maxHead = 64 << 10

// readHead reads until the head of a request is complete. What follows it may have been read, too.
func readHead(conn net.Conn) ([]byte, error) {
	var head []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		if len(head) > maxHead {
			return nil, errors.New("no request")
		}
		n, err := conn.Read(buf)
		head = append(head, buf[:n]...)
		if err != nil {
			return nil, err
		}
	}
	return head, nil
}

// sourceOf is the member that a request comes from, 0 if it does not say.
func sourceOf(head []byte) uint64 {
	head, _, _ = bytes.Cut(head, []byte("\r\n\r\n"))
	_, id, ok := bytes.Cut(head, []byte("\r\nX-Server-From: "))
	if !ok {
		return 0
	}
	id, _, _ = bytes.Cut(id, []byte("\r\n"))
	n, err := strconv.ParseUint(string(id), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// last makes a request the last one of its connection: the next may be one that says whose it is.
func last(head []byte) []byte {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	return bytes.Join([][]byte{line, []byte("Connection: close"), rest}, []byte("\r\n"))
}
