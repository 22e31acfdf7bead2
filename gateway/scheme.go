package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A port that serves TLS closes connections that begin with plain HTTP, and a port that serves
// plain HTTP closes those that begin with a TLS handshake. etcd does it without an answer, as does
// a proxy whose backend is down. The client tests the port itself to distinguish the cases.

var (
	errSpeaksTLS   = fmt.Errorf("%w: the endpoint speaks https", ErrProtocol)
	errSpeaksPlain = fmt.Errorf("%w: the endpoint speaks http", ErrProtocol)
	// With --listen-client-http-urls the ports that a member advertises serve no gateway.
	errSpeaksGRPC = fmt.Errorf(
		"%w: the endpoint speaks gRPC alone; the gateway has another port", ErrProtocol)
)

// otherProtocol reports whether the endpoint was found to speak another protocol than the client.
func (e *Error) otherProtocol() bool {
	return errors.Is(e, errSpeaksTLS) || errors.Is(e, errSpeaksPlain) || errors.Is(e, errSpeaksGRPC)
}

// fromGRPC reports whether a request of HTTP/1.1 was answered by the first frame of HTTP/2.
func fromGRPC(err error) bool {
	return strings.Contains(err.Error(), `malformed HTTP response "\x00\x00`)
}

// schemeCheck is the state of the test of an endpoint's scheme.
type schemeCheck struct {
	turn     chan struct{} // held by the caller that tests; guards passedAt
	passedAt time.Time     // when the port last did not speak the other scheme alone
}

// schemeCheckPause is the pause after a test of a port that speaks the right scheme, or nothing.
const schemeCheckPause = time.Second

// checkScheme tests whether a request had no answer because its endpoint speaks the other scheme.
// If so, that becomes the cause of the error: a fault of the set-up, which leaves no write in
// doubt. way is nil for requests that write nothing.
//
// An endpoint that has served this client is not tested, because it might have served the request,
// too, and have been restarted with another scheme.
func (c *Client) checkScheme(ctx context.Context, ep *endpoint, e *Error, way *delivery) {
	if c.dial == nil || ep.member.Load() != 0 || !e.hungUp(tlsClass(ep.url)) ||
		way != nil && way.onUsedConn() {
		return
	}
	if !c.otherScheme(ctx, ep) {
		return
	}
	cause := errSpeaksTLS
	if tlsClass(ep.url) {
		cause = errSpeaksPlain
	}
	e.Code, e.unsent, e.wordless, e.cause = 0, true, false, setupError{cause}
}

// checkGRPC is checkScheme for a port that speaks gRPC alone, after a shared stream. The transport
// shows the bytes of an answer only for a request that is complete: of a stream it reports the
// write that failed.
func (c *Client) checkGRPC(ctx context.Context, ep *endpoint, e *Error) {
	if ep.member.Load() != 0 || !e.wordless || e.cutOff {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AttemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ep.pages+"/version", http.NoBody)
	if err != nil {
		return
	}
	req.Header["Accept"] = headerJSON
	resp, err := c.rt.RoundTrip(req)
	switch {
	case err == nil:
		resp.Body.Close()
	case fromGRPC(err):
		e.Code, e.unsent, e.wordless, e.cause = 0, true, false, setupError{errSpeaksGRPC}
	}
}

// hungUp reports whether the connection was closed before a byte of an answer, or with TLS of
// a handshake, was received. A port that completes a handshake speaks TLS.
func (e *Error) hungUp(overTLS bool) bool {
	began := e.wordless
	if overTLS {
		began = errors.As(e.cause, new(handshakeError))
	}
	return began && !e.cutOff && !e.timedOut && !e.setup() && closedByPeer(e.cause)
}

// closedByPeer reports whether an error says that the peer has closed the connection. When a read
// fails, the transport closes its end, and the next write of a body reports that.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// otherScheme reports whether a port speaks only the scheme that its endpoint does not name. A port
// may speak both, so the other scheme has to be answered both before and after the own one is not.
func (c *Client) otherScheme(ctx context.Context, ep *endpoint) bool {
	check := &ep.scheme
	select {
	case check.turn <- struct{}{}:
		defer func() { <-check.turn }()
	case <-ctx.Done():
		return false
	}
	if !check.passedAt.IsZero() && time.Since(check.passedAt) < schemeCheckPause {
		return false
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AttemptTimeout)
	defer cancel()
	own, other := portTLS, portHTTP
	if !tlsClass(ep.url) {
		own, other = other, own
	}
	if c.speakTo(ctx, ep, other) == other && c.speakTo(ctx, ep, own) == portHungUp &&
		c.speakTo(ctx, ep, other) == other {
		return true
	}
	if caller.Err() == nil { // a check that its caller cut off has shown nothing
		check.passedAt = time.Now()
	}
	return false
}

// portAnswer is the kind of answer from a port.
type portAnswer int

const (
	portSilent portAnswer = iota // no connection, nothing in time, or neither of the two below
	portHungUp                   // the connection was closed without a byte
	portTLS
	portHTTP
)

// speakTo opens a connection, begins as a client of TLS or HTTP does, and returns the kind of the
// answer. It sends no credentials.
func (c *Client) speakTo(ctx context.Context, ep *endpoint, as portAnswer) portAnswer {
	u, err := url.Parse(ep.pages)
	if err != nil {
		return portSilent
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[tlsClass(ep.url)]
	}
	raw, err := dialWithin(ctx, c.dial, net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return portSilent
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn := &firstBytes{Conn: raw}
	if as == portTLS {
		err = tls.Client(conn, c.handshakeConfig(u.Hostname())).HandshakeContext(ctx)
	} else {
		_, err = fmt.Fprintf(conn, "GET %s/version HTTP/1.1\r\n"+
			"Host: %s\r\nConnection: close\r\n\r\n", u.Path, u.Host)
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, len(httpMagic)))
		}
	}
	switch got := conn.bytes(); {
	case strings.HasPrefix(got, httpMagic):
		return portHTTP
	case len(got) >= 2 && (got[0] == tlsHandshake || got[0] == tlsAlert) && got[1] == tlsMajor:
		return portTLS
	case got == "" && ctx.Err() == nil && closedByPeer(err):
		return portHungUp
	}
	return portSilent
}

// dialWithin dials, and waits no longer than ctx says, as the transport does: a dialer of the
// caller's may not look at ctx. ctx must end.
func dialWithin(ctx context.Context, dial dialFunc, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		conn, err := dial(ctx, "tcp", addr)
		select {
		case results <- result{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close()
			}
		}
	}()
	select {
	case r := <-results:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// The beginning of an answer of each kind.
const (
	httpMagic    = "HTTP/"
	tlsAlert     = 21
	tlsHandshake = 22
	tlsMajor     = 3
)

// firstBytes is a connection that keeps the first bytes that it has received.
type firstBytes struct {
	net.Conn

	mu  sync.Mutex
	got string
}

func (f *firstBytes) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got += string(b[:min(n, len(httpMagic)-min(len(f.got), len(httpMagic)))])
	return n, err
}

func (f *firstBytes) bytes() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}
