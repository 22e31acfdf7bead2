package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

// An HTTPProxy passes plain HTTP/1.1 requests to a target and applies rules to them. It passes each
// piece of a streaming answer on at once. Its methods are safe for concurrent use.
type HTTPProxy struct {
	target    string // host and port
	port      *ports.Port
	server    *http.Server
	transport *http.Transport
	serve     sync.WaitGroup
	life      context.Context // ends with Close
	end       context.CancelFunc

	mu      sync.Mutex
	rules   []*ArmedRule
	cleared chan struct{} // closed and replaced by Clear
}

// NewHTTP starts a proxy for target on a loopback port of its own. Target is an http URL, such as a
// member's endpoint or a Proxy's URL, or a host and port. NewHTTP returns an error if target is an
// https URL or no port is free.
func NewHTTP(target string) (*HTTPProxy, error) {
	if strings.HasPrefix(target, "https://") {
		return nil, fmt.Errorf("faultproxy: new: %s: an HTTPProxy cannot read TLS", target)
	}
	p := &HTTPProxy{
		target: strings.TrimSuffix(strings.TrimPrefix(target, "http://"), "/"),
		transport: &http.Transport{
			DisableCompression:  true,
			MaxIdleConnsPerHost: 256,
		},
		cleared: make(chan struct{}),
	}
	p.server = &http.Server{
		Handler:   http.HandlerFunc(p.handle),
		ConnState: p.count,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	p.life, p.end = context.WithCancel(context.Background())
	var err error
	if p.port, err = ports.Reserve(); err != nil {
		return nil, fmt.Errorf("faultproxy: new: %w", err)
	}
	listener, err := net.Listen("tcp", p.port.Addr())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("faultproxy: new: %w", err), p.port.Release())
	}
	p.serve.Go(func() { _ = p.server.Serve(listener) })
	return p, nil
}

// Addr returns the host and port that clients connect to.
func (p *HTTPProxy) Addr() string { return p.port.Addr() }

// URL returns the URL that clients connect to.
func (p *HTTPProxy) URL() string { return "http://" + p.Addr() }

// Add activates a rule. If several rules apply to a request, only the one that was added first is
// carried out, and the later ones do not count the request.
func (p *HTTPProxy) Add(r Rule) *ArmedRule {
	a := &ArmedRule{rule: r, proxy: p, changed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(slices.Clip(p.rules), a)
	return a
}

// Clear removes all rules and ends the requests that Hang keeps.
func (p *HTTPProxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
	close(p.cleared)
	p.cleared = make(chan struct{})
}

// Close closes all connections, stops listening and waits until all goroutines of the proxy have
// ended. A second call does nothing. Close returns an error if the port cannot be closed or
// released.
func (p *HTTPProxy) Close() error {
	if p.life.Err() != nil {
		return nil
	}
	p.end()
	err := p.server.Close()
	p.serve.Wait()
	p.transport.CloseIdleConnections()
	return errors.Join(err, p.port.Release())
}

func (p *HTTPProxy) remove(a *ArmedRule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = slices.DeleteFunc(slices.Clone(p.rules), func(b *ArmedRule) bool { return a == b })
}

// find returns the rule that is carried out on a request, or nil.
func (p *HTTPProxy) find(r *Request) *ArmedRule {
	p.mu.Lock()
	rules := p.rules
	p.mu.Unlock()
	for _, a := range rules {
		if a.applies(r) {
			return a
		}
	}
	return nil
}

// count makes Close wait for connections until they end or become tunnels.
func (p *HTTPProxy) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		p.serve.Add(1)
	case http.StateClosed, http.StateHijacked:
		p.serve.Done()
	}
}

// handle serves one request.
func (p *HTTPProxy) handle(w http.ResponseWriter, r *http.Request) {
	req := &Request{Method: r.Method, Path: r.URL.Path, Header: r.Header, Stream: isStream(r)}
	if req.Stream {
		p.tunnel(w, r, p.find(req))
		return
	}
	var err error
	if req.Body, err = io.ReadAll(r.Body); err != nil {
		giveUp()
	}
	if rule := p.find(req); rule != nil {
		p.mistreat(w, r, req.Body, rule)
		return
	}
	resp, err := p.forward(r.Context(), r, req.Body)
	if err != nil {
		giveUp()
	}
	defer resp.Body.Close()
	answer(w, resp)
}

// mistreat carries out a rule on a request.
func (p *HTTPProxy) mistreat(w http.ResponseWriter, r *http.Request, body []byte, rule *ArmedRule) {
	action := rule.rule.Action
	switch action.kind {
	case refuse:
		rule.hit()
		giveUp()
	case delayBefore:
		rule.hit()
		p.wait(action.delay)
	}
	resp, err := p.forwardWhole(r, body)
	if err != nil {
		giveUp()
	}
	switch action.kind {
	case drop:
		rule.hit()
		giveUp()
	case hang:
		p.hang(r.Context(), rule)
		giveUp()
	case duplicate:
		if _, err := p.forwardWhole(r, body); err != nil {
			giveUp()
		}
		rule.hit()
	case duplicateLater:
		p.serve.Go(func() {
			p.wait(action.delay)
			if _, err := p.forwardWhole(r, body); err == nil {
				rule.hit()
			}
		})
	case delayAfter:
		rule.hit()
		p.wait(action.delay)
	}
	answer(w, resp)
}

// forward sends the request to the target and returns when the head of the answer has arrived.
func (p *HTTPProxy) forward(
	ctx context.Context, r *http.Request, body []byte,
) (*http.Response, error) {
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://"+p.target+r.URL.RequestURI(),
		bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Host = r.Host
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // nil, because the transport would add its own
	}
	return p.transport.RoundTrip(out)
}

// forwardWhole sends the request to the target, even if the client has left, and reads the whole
// answer.
func (p *HTTPProxy) forwardWhole(r *http.Request, body []byte) (*http.Response, error) {
	resp, err := p.forward(p.life, r, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, nil
}

// answer sends the answer to the client, each piece as soon as it arrives.
func answer(w http.ResponseWriter, resp *http.Response) {
	for name, values := range resp.Header {
		if name != "Connection" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	flush := http.NewResponseController(w).Flush
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				giveUp()
			}
			if resp.ContentLength < 0 {
				_ = flush() // the next Write reports that the client left
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			giveUp()
		}
	}
}

// giveUp closes the client's connection without an answer.
func giveUp() { panic(http.ErrAbortHandler) }

// wait returns after the delay, or when the proxy is closed.
func (p *HTTPProxy) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.life.Done():
	}
}

// hang counts a request and keeps it until ctx ends, because the client gave up, or the rules are
// cleared, or the proxy is closed.
func (p *HTTPProxy) hang(ctx context.Context, rule *ArmedRule) {
	p.mu.Lock()
	cleared := p.cleared
	p.mu.Unlock()
	rule.hit() // after cleared is read, so that a Clear after the hit ends this wait
	select {
	case <-ctx.Done():
	case <-cleared:
	case <-p.life.Done():
	}
}
