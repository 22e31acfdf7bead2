package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// SetWatchBuffer sets how many bytes are kept for a slow reader. Call it before the first watch.
func (c *Client) SetWatchBuffer(n int) { c.watchBuffer = n }

// SplitLines reads all messages like a stream, with a buffer of the given size.
func SplitLines(r io.Reader, buffer int) (lines []string, err error) {
	b := bufio.NewReaderSize(r, buffer)
	for {
		line, err := readLine(b)
		if len(line) > 0 {
			lines = append(lines, string(line))
		}
		if err != nil {
			return lines, err
		}
	}
}

// MaxLine bounds one message.
const MaxLine = maxLine

// HandleLines feeds lines to a stream on which one watch, from revision 3 on, is being created. It
// returns the watch's responses and the stream's error.
func HandleLines(lines ...string) (responses []WatchResponse, err error) {
	c, err := New(Config{Endpoints: []string{"http://a:1"}, Transport: http.NewFileTransport(nil)})
	if err != nil {
		return nil, err
	}
	m := newWatchmux(c.hub, c.eps.pick(), time.Second)
	defer m.cancel(nil)
	m.mode, m.asksVersion, m.ordered = shared, true, true
	w := &watch{key: "a", next: 3, fn: func(r WatchResponse) { responses = append(responses, r) }}
	c.hub.watches[w] = struct{}{}
	c.hub.mux = m
	cn := m.newConn(shared, c.hub.now())
	m.ask(cn, w, c.hub.now())
	for _, line := range lines {
		if err := c.hub.handle(cn, []byte(line)); err != nil {
			return responses, err
		}
	}
	return responses, nil
}

// DialAddresses dials the addresses that lookup returns for a name.
func DialAddresses(
	dial dialFunc, lookup lookupFunc,
) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialAddresses(dial, lookup)
}

// DialTimeout bounds a dial that continues after its attempt.
const DialTimeout = dialTimeout

// StepsWhileExcused counts how often a client checks a busy stream that has not yet sent it all
// events and the confirmation of a watch, in a bubble. It stops after 1,000 checks.
func StepsWhileExcused(tb testing.TB, lasts time.Duration) (n int) {
	tb.Helper()
	c, err := New(Config{Endpoints: []string{"http://a:1"}, Transport: http.NewFileTransport(nil)})
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	m := newWatchmux(c.hub, c.eps.pick(), time.Second)
	defer m.cancel(nil)
	m.mode, m.asksVersion, m.stood = shared, true, true
	cn := m.newConn(shared, c.hub.now())
	m.conns[cn], m.shared = struct{}{}, cn
	begun := c.hub.now()
	c.hub.mux, m.ticked, m.since = m, begun, begun
	c.revision.Store(1_000_000)
	cn.stood, cn.rev = true, 1
	m.ask(cn, &watch{key: "a", fn: func(WatchResponse) {}}, begun)
	for c.hub.now()-begun < lasts && n < 1000 && m.ctx.Err() == nil {
		due := m.step()
		n++
		time.Sleep(due)
		cn.rev++
		cn.heard.Store(int64(c.hub.now()))
	}
	if m.ctx.Err() != nil {
		tb.Errorf("the stream was given up after %v", c.hub.now()-begun)
	}
	return n
}
