package gateway

import (
	"bufio"
	"io"
	"net/http"
	"time"
)

// SetWatchBuffer makes what waits for a slow reader small enough for a test. Call it before the first watch.
func (c *Client) SetWatchBuffer(n int) { c.watchBuffer = n }

// SplitLines reads messages to their end as a stream does, with a buffer of that size.
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

// HandleLines feeds lines to a stream on which one watch, from revision 3 on, is being made. It returns what the watch
// reports and what ends the stream.
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
