package faultproxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A conversation handles one accepted connection.
type conversation interface {
	// run serves the connection until it ends.
	run()
	// change applies a new weather.
	change(up, down weather)
	// reset ends the conversation with a TCP reset of all its connections.
	reset()
}

// A link joins a client connection to its connection to the target.
type link struct {
	client, server *net.TCPConn
	up, down       *pump
	eofs           atomic.Int32
	ending         sync.Once
}

func newLink(client, server *net.TCPConn, up, down weather) *link {
	return &link{
		client: client,
		server: server,
		up:     newPump(client, server, up),
		down:   newPump(server, client, down),
	}
}

func (l *link) run() {
	var pumps sync.WaitGroup
	pumps.Go(l.up.read)
	pumps.Go(l.down.read)
	pumps.Go(func() { l.deliver(l.up, l.down) })
	pumps.Go(func() { l.deliver(l.down, l.up) })
	pumps.Wait()
}

// deliver writes the parcels of p until the link ends.
func (l *link) deliver(p, reverse *pump) {
	broken, fromSink := p.write(func() {
		// An error means that the receiver is gone. The other direction reports that.
		_ = p.to.CloseWrite()
		if l.eofs.Add(1) == 2 {
			l.end(false)
		}
	})
	switch {
	case fromSink:
		// The end of the receiver travels in the other direction, and its faults apply to it too.
		reverse.push(parcel{err: net.ErrClosed})
	case broken:
		l.end(true)
	}
}

func (l *link) change(up, down weather) {
	upWhole, downWhole := l.up.change(up), l.down.change(down)
	if !upWhole || !downWhole {
		l.reset()
	}
}

func (l *link) reset() { l.end(true) }

func (l *link) end(reset bool) {
	l.ending.Do(func() {
		for _, c := range []*net.TCPConn{l.client, l.server} {
			if reset {
				_ = c.SetLinger(0)
			}
			_ = c.Close()
		}
		l.up.end()
		l.down.end()
	})
}

// A blindLink is a connection that was accepted while no byte reached the target. It has no
// connection to the target, and the client's bytes are lost.
type blindLink struct{ client *net.TCPConn }

func (l blindLink) run() {
	_, _ = io.Copy(io.Discard, l.client)
	_ = l.client.Close()
}

func (l blindLink) change(up, _ weather) {
	if up.mode != swallow {
		l.reset()
	}
}

func (l blindLink) reset() {
	_ = l.client.SetLinger(0)
	_ = l.client.Close()
}
