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

// A PeerProxy listens in place of the peer port of an etcd member. It has a Proxy for each member
// that connects, so that a test can break a single link. Members name themselves in a header of
// their raft requests. Requests without that header, such as a request for the version, are always
// passed on, because they are not part of raft. Its methods are safe for concurrent use.
type PeerProxy struct {
	target   string
	port     *ports.Port
	listener net.Listener
	serve    sync.WaitGroup

	mu      sync.Mutex
	links   map[uint64]*Proxy     // by the id of the connecting member, 0 if the request has none
	reading map[net.Conn]struct{} // connections whose member is not known yet
	closed  bool
}

// NewPeer starts a proxy on a loopback port of its own. Target is the host and port on which a
// member listens for others. NewPeer returns an error if no port is free.
func NewPeer(target string) (*PeerProxy, error) {
	p := &PeerProxy{
		target: target, links: make(map[uint64]*Proxy),
		reading: make(map[net.Conn]struct{}),
	}
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

// From returns the link for the connections that the member with this id makes. It returns
// net.ErrClosed after Close, and another error if no port is free.
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

// Heal ends the faults of all links. It returns the errors of Proxy.Heal.
func (p *PeerProxy) Heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Heal())
	}
	return errors.Join(errs...)
}

// Close resets all connections, stops listening and waits until all goroutines of the proxy have
// ended. A second call does nothing.
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
	for _, l := range p.links { // From adds no link after closed is set
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

// handle reads the id of the connecting member from its first request and passes the connection to
// the link of that member.
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

// track records the connections that Close has to close. It returns false if Close was called and
// conn is closed.
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

// maxHead is larger than the head of any request between members.
const maxHead = 64 << 10

// readHead reads until the head of a request is complete. The result may include bytes behind the
// head.
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

// sourceOf returns the id of the member that sent the request, or 0 if the request has none.
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

// last makes a request the last one of its connection, because the next one may name a member.
func last(head []byte) []byte {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	return bytes.Join([][]byte{line, []byte("Connection: close"), rest}, []byte("\r\n"))
}
