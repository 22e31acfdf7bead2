package faultproxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// isStream reports whether a request has to be passed on before its end, because the client has not
// announced its length, or the answer does not end on its own.
func isStream(r *http.Request) bool {
	return r.ContentLength < 0 || r.Header.Get("Upgrade") != "" || isEndless(r.URL.Path)
}

// isEndless reports whether the gateway's answer to requests with this path is endless.
func isEndless(path string) bool {
	return strings.HasSuffix(path, "/watch") || strings.HasSuffix(path, "/election/observe")
}

// tunnel serves a stream. It sends the head of the request to the target over a connection of its
// own, and then copies bytes in both directions.
func (p *HTTPProxy) tunnel(w http.ResponseWriter, r *http.Request, rule *ArmedRule) {
	if rule != nil {
		switch action := rule.rule.Action; action.kind {
		case refuse:
			rule.hit()
			giveUp()
		case delayBefore:
			rule.hit()
			p.wait(action.delay)
		}
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(p.life, "tcp", p.target)
	if err != nil {
		giveUp()
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = server.Close()
		giveUp()
	}
	p.serve.Add(1) // because ConnState has ended the count of the hijacked connection
	defer p.serve.Done()
	// The end of either side ends both, because the streams of the gateway have no half-closed
	// connections.
	ctx, end := context.WithCancel(p.life)
	context.AfterFunc(ctx, func() { _ = client.Close() })
	context.AfterFunc(ctx, func() { _ = server.Close() })
	defer end()

	var copies sync.WaitGroup
	copies.Go(func() {
		defer end()
		if writeHead(server, r) == nil {
			_, _ = io.Copy(server, buffered)
		}
	})
	copies.Go(func() {
		defer end()
		p.copyDown(ctx, client, server, rule)
	})
	copies.Wait()
}

// copyDown copies the target's answer to the client, if the rule allows it.
func (p *HTTPProxy) copyDown(
	ctx context.Context, client io.Writer, server io.Reader, rule *ArmedRule,
) {
	if rule != nil {
		first := make([]byte, 32<<10)
		n, err := server.Read(first)
		if err != nil {
			return
		}
		switch action := rule.rule.Action; action.kind {
		case drop:
			rule.hit()
			return
		case hang:
			p.hang(ctx, rule)
			return
		case delayAfter:
			rule.hit()
			p.wait(action.delay)
		}
		if _, err := client.Write(first[:n]); err != nil {
			return
		}
	}
	_, _ = io.Copy(client, server)
}

// writeHead writes the head of a request as the client sent it. It makes a complete request the
// last one on its connection, because the rules then apply to the requests after it, too. It does
// not do that for a body that is kept open, because it would change how the gateway behaves.
func writeHead(w io.Writer, r *http.Request) error {
	head := r.Method + " " + r.URL.RequestURI() + " HTTP/1.1\r\nHost: " + r.Host + "\r\n"
	header := r.Header
	switch {
	case r.ContentLength < 0:
		head += "Transfer-Encoding: chunked\r\n"
	case header.Get("Upgrade") == "":
		header = header.Clone()
		header.Set("Connection", "close")
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	if err := header.Write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\r\n")
	return err
}
