// Package page serves a web page that shows a board.
//
// # Usage
//
//	server, err := page.Serve(ctx, "127.0.0.1:7379", page.Options{Board: b, Client: client})
//	defer server.Close()
//
// # Guarantees
//
// No request writes to etcd, except for POST /break with [Options.AllowBreak]. Without a token and
// without client certificates, only loopback addresses are served.
//
// The page loads nothing from other hosts, and its Content-Security-Policy forbids it to. All texts
// of etcd are cut, and reach the page as JSON.
//
// # Concurrency
//
// A Server is safe for concurrent use.
package page

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/gateway"
)

//go:embed web
var web embed.FS

// Options configure a server.
type Options struct {
	Board  *board.Board
	Client *gateway.Client // breaks holds
	Prefix string          // of the board; shown

	// Token must be presented by each request if it is not empty: as the password of HTTP's basic
	// authentication with any user, or as a bearer token.
	Token string
	// TLS is the configuration of the server, nil for http. If it demands client certificates, no
	// token is needed.
	TLS *tls.Config
	// Hosts are names by which browsers may address the server, besides IP addresses and localhost.
	Hosts []string
	// AllowBreak permits the page to break holds.
	AllowBreak bool
}

// MinToken is the length of the shortest token.
const MinToken = 16

// ErrOpen is returned for an address that is not loopback when there is neither a token nor a
// demand for client certificates.
var ErrOpen = errors.New("needs a token or client certificates")

// Server serves the page. [Server.Close] ends it.
type Server struct {
	URL string

	opt    Options
	csrf   string // sent to the page, which returns it with each break
	server *http.Server
	stop   context.CancelFunc
	done   sync.WaitGroup
	open   chan struct{} // a place for each stream
}

// maxStreams is the number of pages that are updated at the same time.
const maxStreams = 64

// Serve serves the page on an address until [Server.Close]. It returns [ErrOpen] for an address
// that must not be served, and the error of listening.
func Serve(ctx context.Context, address string, opt Options) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s, err := serve(ctx, l, opt)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return s, nil
}

func serve(ctx context.Context, l net.Listener, opt Options) (*Server, error) {
	s, err := newServer(ctx, l.Addr().String(), opt)
	if err != nil {
		return nil, err
	}
	if opt.TLS != nil {
		l = tls.NewListener(l, opt.TLS)
	}
	s.done.Go(func() { _ = s.server.Serve(l) }) // until it is closed
	return s, nil
}

// newServer returns a server of an address that does not listen yet.
func newServer(ctx context.Context, address string, opt Options) (*Server, error) {
	certificates := opt.TLS != nil && opt.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	switch {
	case opt.Token == "" && !certificates && !isLoopback(address):
		return nil, fmt.Errorf("%s: %w", address, ErrOpen)
	case opt.Token != "" && len(opt.Token) < MinToken:
		return nil, fmt.Errorf("a token of %d bytes, at least %d are needed", len(opt.Token), MinToken)
	}
	s := &Server{opt: opt, csrf: rand.Text(), open: make(chan struct{}, maxStreams)}
	var running context.Context
	running, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	mux := http.NewServeMux()
	for pattern, handler := range s.routes() {
		mux.Handle(pattern, handler)
	}
	s.server = &http.Server{
		Handler:           s.guard(mux, certificates),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		WriteTimeout:   writeLimit, // of all answers but the streams, which set it anew
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return running }, // ends the streams
	}
	scheme := "http"
	if opt.TLS != nil {
		scheme = "https"
	}
	s.URL = scheme + "://" + address + "/"
	return s, nil
}

// Close ends the server and its streams.
func (s *Server) Close() {
	s.stop()
	_ = s.server.Close()
	s.done.Wait()
}

// routes returns the handlers of all requests that are answered, by the pattern of a mux.
func (s *Server) routes() map[string]http.Handler {
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the folder is embedded
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err)
	}
	assets := http.FileServerFS(files)
	all := map[string]http.Handler{
		"GET /{$}":     assets,
		"GET /events":  http.HandlerFunc(s.events),
		"GET /name":    http.HandlerFunc(s.name),
		"GET /session": http.HandlerFunc(s.session),
	}
	for _, file := range entries {
		if !strings.HasSuffix(file.Name(), ".html") {
			all["GET /"+file.Name()] = assets
		}
	}
	if s.opt.AllowBreak {
		all["POST /break"] = http.HandlerFunc(s.breakHold)
	}
	return all
}
