package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// mode is the treatment of the bytes in a direction.
type mode int

const (
	pass    mode = iota
	swallow      // lose the bytes
	hold         // keep the bytes until the mode changes
)

// weather is the state of one direction, shared by all its pumps.
type weather struct {
	mode  mode
	delay time.Duration
}

// maxBacklog bounds the bytes that a pump keeps. A pump with more stops reading, which blocks the
// sender like a full TCP window.
const maxBacklog = 16 << 20

// A parcel is a chunk of bytes in transit, or the end of the stream.
type parcel struct {
	data []byte
	err  error // io.EOF, or the error of the connection; then data is empty
	due  time.Time
}

// A pump moves bytes from one connection to another in one direction. One goroutine reads and
// stamps each chunk with the time at which it is due, and another one writes. Therefore a delay
// does not reduce the throughput.
type pump struct {
	from, to *net.TCPConn

	mu      sync.Mutex
	cond    sync.Cond
	queue   []parcel
	backlog int
	weather weather
	lost    bool // bytes were swallowed, so the stream has a gap
	ended   bool
}

func newPump(from, to *net.TCPConn, w weather) *pump {
	p := &pump{from: from, to: to, weather: w}
	p.cond.L = &p.mu
	return p
}

// read fills the queue until the connection ends.
func (p *pump) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := p.from.Read(buf)
		if n > 0 && !p.push(parcel{data: append([]byte(nil), buf[:n]...)}) {
			return
		}
		if err != nil {
			p.push(parcel{err: err})
			return
		}
	}
}

// push queues a parcel; it returns false if the pump has ended.
func (p *pump) push(item parcel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.backlog > maxBacklog && !p.ended && p.weather.mode != swallow {
		p.cond.Wait()
	}
	if p.ended {
		return false
	}
	if p.weather.mode == swallow {
		p.lost = true
		return true
	}
	item.due = time.Now().Add(p.weather.delay)
	p.queue = append(p.queue, item)
	p.backlog += len(item.data)
	p.cond.Broadcast()
	return true
}

// write delivers the queue until the pump ends or a connection breaks. It calls atEOF at the
// orderly end of the stream. It returns fromSink if the receiving side broke.
func (p *pump) write(atEOF func()) (broken, fromSink bool) {
	for {
		item, ok := p.pop()
		switch {
		case !ok:
			return false, false
		case errors.Is(item.err, io.EOF):
			atEOF()
		case item.err != nil:
			return true, false
		default:
			if _, err := p.to.Write(item.data); err != nil {
				return true, true
			}
		}
	}
}

// pop waits for a parcel that is due. It returns false if the pump ended.
func (p *pump) pop() (item parcel, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		if len(p.queue) == 0 || p.weather.mode == hold {
			p.cond.Wait()
			continue
		}
		item = p.queue[0]
		if wait := time.Until(item.due); wait > 0 {
			wake := time.AfterFunc(wait, p.broadcast)
			p.cond.Wait()
			wake.Stop()
			continue
		}
		p.queue[0] = parcel{}
		p.queue = p.queue[1:]
		p.backlog -= len(item.data)
		p.cond.Broadcast()
		return item, true
	}
	return parcel{}, false
}

func (p *pump) broadcast() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cond.Broadcast()
}

// change sets the weather and reports whether the stream can continue. Bytes in transit are lost
// when swallowing begins. A stream that lost bytes ends when swallowing ends.
func (p *pump) change(w weather) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	if w.mode == swallow && len(p.queue) > 0 {
		p.queue, p.backlog, p.lost = nil, 0, true
	}
	if w.mode != swallow && p.lost {
		p.ended = true
	}
	p.cond.Broadcast()
	return !p.ended
}

// end makes all calls that wait in the pump return.
func (p *pump) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.queue = true, nil
	p.cond.Broadcast()
}
