package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

const (
	// dialTimeout and handshakeTimeout bound connecting in the background: an attempt waits only
	// for its own time, and a later one may use the connection.
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	// addressPause is how long one address of a name is tried alone, as RFC 8305 proposes.
	addressPause = 250 * time.Millisecond
)

// ownTransport is HTTP/1.1 only, because each stream is a connection of its own, and HTTP/2 was
// measured to gain nothing. It never resends a POST whose first byte was sent.
func (c *Client) ownTransport() *http.Transport {
	dial := c.cfg.DialContext
	if dial == nil {
		dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 10 * time.Second}
		dial = dialAddresses(dialer.DialContext, net.DefaultResolver.LookupNetIP)
	}
	dial = c.untilClosed(dialSockets(dial))
	c.dial = dial
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialMetered(ctx, dial, network, addr)
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.dialTLS(ctx, dial, network, addr)
		},
		DisableCompression:     true, // a small answer must not inflate into a large one
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        c.cfg.IdleTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// untilClosed cancels dials when the client is closed, because the transport continues a dial after
// its request has ended.
func (c *Client) untilClosed(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		//nolint:contextcheck // the life of the client joins the dial's
		defer context.AfterFunc(c.ctx, cancel)()
		return dial(ctx, network, addr)
	}
}

// dialError says that there is no connection, so that nothing can have been sent.
type dialError struct{ error }

func (d dialError) Unwrap() error { return d.error }

func dialMetered(ctx context.Context, dial dialFunc, network, addr string) (net.Conn, error) {
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, dialError{err}
	}
	return &meter{Conn: conn, closed: make(chan struct{})}, nil
}

// dialTLS returns a connection whose handshake is complete.
func (c *Client) dialTLS(
	ctx context.Context, dial dialFunc, network, addr string,
) (net.Conn, error) {
	raw, err := dial(ctx, network, addr)
	if err != nil {
		return nil, dialError{err}
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	cfg := c.handshakeConfig(host)
	// Without HTTP/2, because the transport would use it if the server accepted it.
	cfg.NextProtos = slices.DeleteFunc(slices.Clone(cfg.NextProtos), func(p string) bool {
		return p == "h2"
	})
	conn := tls.Client(&meter{Conn: raw, closed: make(chan struct{}), tls: true}, cfg)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	//nolint:contextcheck // the life of the client joins the dial's
	defer context.AfterFunc(c.ctx, cancel)()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = errSlowHandshake
		}
		return nil, dialError{handshakeError{err}}
	}
	return conn, nil
}

type lookupFunc = func(ctx context.Context, network, host string) ([]netip.Addr, error)

// dialAddresses dials the addresses of a name one after the other, without waiting for each to
// fail: the first connection is used. A dead address costs a quarter of a second.
func dialAddresses(dial dialFunc, lookup lookupFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		_, literal := netip.ParseAddr(host)
		if err != nil || literal == nil || network == unixScheme {
			return dial(ctx, network, addr)
		}
		ips, err := lookup(ctx, "ip", host)
		if err == nil && len(ips) == 0 {
			err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
		var addrs []string
		for _, ip := range alternate(ips) {
			addrs = append(addrs, net.JoinHostPort(ip.String(), port))
		}
		return dialFirst(ctx, dial, network, addrs)
	}
}

// alternate orders addresses so that both families are tried early. The first stays the first.
func alternate(ips []netip.Addr) []netip.Addr {
	var same, other []netip.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		if ip.Is4() == ips[0].Unmap().Is4() {
			same = append(same, ip)
		} else {
			other = append(other, ip)
		}
	}
	var list []netip.Addr
	for i := range max(len(same), len(other)) {
		list = append(list, same[min(i, len(same)):min(i+1, len(same))]...)
		list = append(list, other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return list
}

// dialFirst returns once all its dials have ended. It cancels the others when one has connected,
// and closes connections that they still open.
func dialFirst(
	ctx context.Context, dial dialFunc, network string, addrs []string,
) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	var conn net.Conn
	var errs []error
	next := time.NewTimer(0)
	defer next.Stop()
	for started, ended := 0, 0; ended < started || started < len(addrs) && conn == nil; {
		select {
		case <-next.C:
			if conn != nil || started == len(addrs) {
				continue
			}
			addr := addrs[started]
			started++
			next.Reset(addressPause)
			go func() {
				conn, err := dial(ctx, network, addr)
				results <- result{conn, err}
			}()
		case r := <-results:
			ended++
			switch {
			case r.err != nil:
				errs = append(errs, r.err)
				next.Reset(0)
			case conn != nil:
				_ = r.conn.Close()
			default:
				conn = r.conn
				cancel()
			}
		}
	}
	if conn != nil {
		return conn, nil
	}
	return nil, errors.Join(errs...)
}
