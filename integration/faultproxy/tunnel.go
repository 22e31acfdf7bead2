package faultproxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// isStream reports whether a request has to be passed on without waiting for
// its end: the client has not announced how long it is, or the answer does not
// end on its own.
func isStream(r *http.Request) bool {
	return r.ContentLength < 0 || r.Header.Get("Upgrade") != "" || isEndless(r.URL.Path)
}

// isEndless knows the methods of the gateway whose answers are endless.
func isEndless(path string) bool {
	return strings.HasSuffix(path, "/watch") || strings.HasSuffix(path, "/election/observe")
}

// tunnel serves a stream: it sends the head of the request to the target over a
// connection of its own and from then on copies bytes both ways.
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
	p.serve.Add(1) // a hijacked connection does not count any more
	defer p.serve.Done()
	// Either side's end ends both: the streams of the gateway know no
	// half-closed connection.
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

// copyDown copies the target's answer to the client, if the rule lets it pass.
func (p *HTTPProxy) copyDown(ctx context.Context, client io.Writer, server io.Reader, rule *ArmedRule) {
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

// writeHead writes the head of a request as the client sent it. Only a complete
// request is also told to be the last on its connection, so that requests after
// it come through the rules again; for a body that is kept open that would
// change how the gateway behaves.
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
