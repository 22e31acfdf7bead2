package proxies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
)

// A Counter counts the requests that a client sends over HTTP/1.1. It counts them in the bytes on
// the client's connections, so it sees every request of every kind. Its DialContext is for
// gateway.Config. It is safe for concurrent use.
type Counter struct{ n atomic.Int64 }

// requestLine ends the first line of a request. No header or body of the gateway contains it,
// because keys and values are in base64.
const requestLine = " HTTP/1." // of either version

// Requests returns how many requests were begun.
func (c *Counter) Requests() int64 { return c.n.Load() }

// DialContext dials like net.Dialer and counts the requests on the connection. It returns the
// errors of net.Dialer.
func (c *Counter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn, counter: c}, nil
}

type countedConn struct {
	net.Conn
	counter *Counter
	// matched counts the bytes of requestLine at the end of the written bytes. Only one goroutine
	// writes at a time.
	matched int
}

// Write counts the requests in b and writes b.
func (c *countedConn) Write(b []byte) (int, error) {
	for _, x := range b {
		switch x {
		case requestLine[c.matched]:
			c.matched++
		case requestLine[0]:
			c.matched = 1
		default:
			c.matched = 0
		}
		if c.matched == len(requestLine) {
			c.matched = 0
			c.counter.n.Add(1)
		}
	}
	return c.Conn.Write(b)
}

var totals = regexp.MustCompile(`(?m)^ *\d+ \d+ (\d+) *$`)

// Requests returns how many requests of all clients nginx has begun to read, by its own count,
// which includes requests over TLS. For haproxy it returns errors.ErrUnsupported. It returns
// another error if the counters cannot be read before ctx ends.
func (p *Proxy) Requests(ctx context.Context) (int64, error) {
	if p.status == nil {
		return 0, errors.ErrUnsupported
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.status.Addr()+"/",
		http.NoBody)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	m := totals.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("proxies: no counters in %q", text)
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}
