package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
)

// The answer to an HTTP/1.0 request ends with its connection. A streamed answer to an HTTP/1.1
// request has chunks. haproxy, unless "option http-no-delay" is set, marks each chunk as followed
// by more, and its kernel holds the chunk back for up to 200 ms. Finite streams therefore use
// HTTP/1.0 where the path allows it.

// ownHTTP10 returns a transport like own whose requests use HTTP/1.0, each on a new connection.
func ownHTTP10(own *http.Transport) *http.Transport {
	t := own.Clone()
	t.DisableKeepAlives = true
	t.DialContext = asHTTP10(own.DialContext)
	t.DialTLSContext = asHTTP10(own.DialTLSContext)
	return t
}

func asHTTP10(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &http10Conn{Conn: conn}, nil
	}
}

// http10Conn changes the version in the request line, because net/http has no option for it.
type http10Conn struct {
	net.Conn
	begun bool // the request line was sent: it is in the first write
}

func (c *http10Conn) Write(b []byte) (int, error) {
	if c.begun {
		return c.Conn.Write(b)
	}
	c.begun = true
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	line, is11 := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !is11 {
		return c.Conn.Write(b)
	}
	// Of the same length, so the returned count is right.
	return c.Conn.Write(append(append(bytes.Clone(line), " HTTP/1.0\r\n"...), rest...))
}

// roundTrip sends the request of a stream.
func (cn *conn) roundTrip(req *http.Request) (*http.Response, error) {
	c := cn.m.h.c
	if !cn.http10 {
		return c.rt.RoundTrip(req)
	}
	resp, err := c.http10.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported:
	default:
		return resp, nil
	}
	_ = resp.Body.Close()
	cn.m.h.mu.Lock()
	cn.m.ep.path.http11, cn.http10 = true, false
	cn.m.h.mu.Unlock()
	again := req.Clone(req.Context())
	again.Body, err = req.GetBody()
	if err != nil {
		return nil, err
	}
	return c.rt.RoundTrip(again)
}

// noteFailure records whether a stream failed for a reason other than the version of its request.
func (cn *conn) noteFailure(otherReason bool) {
	cn.m.h.mu.Lock()
	defer cn.m.h.mu.Unlock()
	cn.failed = otherReason
}

// learn records whether a finite stream got an answer. Until one did, both versions are tried in
// turn, because a proxy may hold back an answer in one of them. A stream without a connection, or
// with an answer such as 503, does not count.
func (p *watchPath) learn(cn *conn) {
	switch {
	case cn.mode != finite || p.versionKnown:
	case cn.stood:
		p.versionKnown = true
	case !cn.failed:
		p.http11 = cn.http10
	}
}
