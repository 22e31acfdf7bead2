package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// port is a port on loopback that looks at the first byte of each connection.
type port struct {
	addr  string
	tls   atomic.Pointer[tls.Config] // nil: a TLS handshake ends in a closed connection
	http  atomic.Bool                // false: a plain request does too
	posts atomic.Bool                // false: a POST does too
	pool  *x509.CertPool
	apply func() // is called by a POST before its connection is closed; nil: the POST is answered
}

// newPort makes a port that speaks the protocols that the test sets.
func newPort(t *testing.T) *port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{addr: l.Addr().String()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				p.serve(conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return p
}

// certify makes the port speak TLS.
func (p *port) certify(t *testing.T) {
	t.Helper()
	server, pool := tlsServer(t, nil)
	p.pool = pool
	p.tls.Store(&tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12})
}

func (p *port) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	secure := first[0] == 22
	var way io.ReadWriter = struct {
		io.Reader
		io.Writer
	}{r, conn}
	switch cfg := p.tls.Load(); {
	case secure && cfg == nil, !secure && !p.http.Load():
		return
	case secure:
		way = tls.Server(readFirst{conn, r}, cfg)
	}
	req, err := http.ReadRequest(bufio.NewReader(way))
	if err != nil {
		return
	}
	if req.Method == http.MethodPost && !secure && !p.posts.Load() {
		return
	}
	if strings.HasSuffix(req.URL.Path, "/watch") {
		serveWatch(way, req)
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	if p.apply != nil && req.Method == http.MethodPost {
		p.apply()
		return
	}
	body := "{" + header + "}"
	_, _ = fmt.Fprintf(way, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// serveWatch confirms one watch, and holds its stream open.
func serveWatch(way io.Writer, req *http.Request) {
	dec := json.NewDecoder(req.Body)
	for {
		var m message
		if dec.Decode(&m) != nil {
			return
		}
		if m.Create != nil {
			_, _ = fmt.Fprintf(way, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+
				"Connection: close\r\n\r\n"+`{"result":{%s,"watch_id":"%d","created":true}}`+"\n",
				header, m.Create.ID)
		}
	}
}

// readFirst reads the bytes that were peeked at first.
type readFirst struct {
	net.Conn
	r io.Reader
}

func (c readFirst) Read(b []byte) (int, error) { return c.r.Read(b) }

// TestAPortOfTheOtherSchemeIsRecognized: a port that closes connections of the wrong scheme, as
// etcd's do, is distinguished from one that is down: at once, by name, and without a write in
// doubt.
func TestAPortOfTheOtherSchemeIsRecognized(t *testing.T) {
	t.Parallel()
	plain, secure := newPort(t), newPort(t)
	plain.http.Store(true)
	plain.posts.Store(true)
	secure.certify(t)
	trust := &tls.Config{RootCAs: secure.pool} //nolint:gosec // the client raises the version
	for _, tt := range []struct {
		bad, good, says string
		tls             *tls.Config
	}{
		{"http://" + secure.addr, "http://" + plain.addr, "speaks https", nil},
		{"https://" + plain.addr, "https://" + secure.addr, "speaks http", trust},
	} {
		t.Run(tt.says, func(t *testing.T) {
			t.Parallel()
			cfg := gateway.Config{Endpoints: []string{tt.bad}, TLS: tt.tls}
			c := newClient(t, cfg)
			for op, call := range map[string]func(context.Context) error{
				"get": func(ctx context.Context) error { _, err := c.Get(ctx, "k"); return err },
				"put": func(ctx context.Context) error {
					_, err := c.Put(ctx, "k", nil)
					return err
				},
				"grant": func(ctx context.Context) error {
					_, err := c.Grant(ctx, 7, time.Minute)
					return err
				},
				"watch": func(ctx context.Context) error {
					_, err := c.Watch(ctx, "k")
					return err
				},
				"status": func(ctx context.Context) error {
					_, err := c.Member(tt.bad).Status(ctx)
					return err
				},
				"health": func(ctx context.Context) error {
					_, err := c.Member(tt.bad).Health(ctx)
					return err
				},
				"snapshot": func(ctx context.Context) error {
					_, err := c.Member(tt.bad).Snapshot(ctx)
					return err
				},
			} {
				err := call(within(t, time.Minute))
				wantErr(t, err, list(gateway.ErrProtocol),
					list(context.DeadlineExceeded, gateway.ErrUncertain, gateway.ErrUnavailable))
				if err != nil && !strings.HasSuffix(err.Error(), tt.says) {
					t.Errorf("%s: %q does not say %q", op, err, tt.says)
				}
			}
			cfg.Endpoints = append(cfg.Endpoints, tt.good)
			for range 10 { // the first endpoint is random
				both := newClient(t, cfg)
				if _, err := both.Put(within(t, time.Minute), "k", nil); err != nil {
					t.Errorf("with another endpoint: %v", err)
				}
			}
		})
	}
}

// TestAWriteStaysInDoubtIfThePortMayHaveServedIt: a write stays in doubt if the port may have
// served it.
func TestAWriteStaysInDoubtIfThePortMayHaveServedIt(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(t *testing.T, p *port){
		"the port speaks both": func(t *testing.T, p *port) {
			t.Helper()
			p.certify(t)
			p.http.Store(true)
		},
		"the port speaks nothing": func(*testing.T, *port) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPort(t)
			set(t, p)
			c := newClient(t, gateway.Config{Endpoints: []string{"http://" + p.addr}})
			for range 2 {
				_, err := c.Put(within(t, time.Minute), "k", nil)
				wantErr(t, err, list(gateway.ErrUncertain, gateway.ErrUnavailable),
					list(context.DeadlineExceeded))
			}
			_, err := c.Get(within(t, 300*time.Millisecond), "k")
			wantErr(t, err, list(gateway.ErrUnavailable, context.DeadlineExceeded), nil)
		})
	}
	t.Run("the port served before", func(t *testing.T) {
		t.Parallel()
		p := newPort(t)
		p.http.Store(true)
		p.posts.Store(true)
		c := newClient(t, gateway.Config{Endpoints: []string{"http://" + p.addr}})
		if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
			t.Fatal(err)
		}
		p.http.Store(false)
		p.certify(t)
		_, err := c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrUncertain), list(gateway.ErrProtocol))
	})
}

// TestTheSchemeIsProbedOnceASecondAtMost: the scheme of a port is probed at most once a second,
// with any number of callers.
func TestTheSchemeIsProbedOnceASecondAtMost(t *testing.T) {
	t.Parallel()
	p := newPort(t)
	var dials atomic.Int32
	dialer := &net.Dialer{}
	c := newClient(t, gateway.Config{
		Endpoints: []string{"http://" + p.addr},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dialer.DialContext(ctx, network, addr)
		},
	})
	began := time.Now()
	const writes = 50
	var all sync.WaitGroup
	for range writes {
		all.Go(func() { _, _ = c.Put(within(t, time.Minute), "k", nil) })
	}
	all.Wait()
	if most := writes + 1 + int32(time.Since(began)/time.Second); dials.Load() > most {
		t.Errorf("%d connections for %d writes, want %d at most", dials.Load(), writes, most)
	}
}
