package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/page"
)

const uiHelp = `Serve a web page that shows all names that begin with PREFIX, live: holders and
waiters, deadlocks, semaphores, queues, schedules, shards and sessions. It changes
nothing, unless --allow-break is typed.

The page is for this machine only. Another address needs a token, which browsers ask
for as a password, or client certificates.`

// uiFlags describe how the page is served.
type uiFlags struct {
	listen                string
	tokenFile             string
	cert, key, clientCA   string
	plaintext, allowBreak bool
	hosts                 []string
}

func uiCommand(a *app) *cobra.Command {
	f := &uiFlags{}
	cmd := &cobra.Command{
		Use:   "ui [PREFIX]",
		Short: "Serve a web page that shows all names that begin with PREFIX",
		Long:  uiHelp + exitStatus(),
		Example: "  holdfast ui jobs/\n" +
			"  holdfast ui --listen :7379 --token-file token --serve-cert tls.crt --serve-key tls.key",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.serveUI(cmd.Context(), f, strings.Join(args, ""))
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.listen, "listen", "127.0.0.1:7379", "the address to serve")
	fs.StringVar(&f.tokenFile, "token-file", "",
		"file with the token that browsers must present as a password [$HOLDFAST_UI_TOKEN]")
	fs.StringVar(&f.cert, "serve-cert", "", "file with the page's certificate, for https")
	fs.StringVar(&f.key, "serve-key", "", "file with its key")
	fs.StringVar(&f.clientCA, "client-ca", "",
		"file with the authorities whose client certificates are accepted, and demanded")
	fs.BoolVar(&f.plaintext, "plaintext-token", false,
		"take the token also over http, where others can read it")
	fs.StringSliceVar(&f.hosts, "host", nil,
		"a name by which browsers may address the page, besides localhost and IP addresses")
	fs.BoolVar(&f.allowBreak, "allow-break", false, "let the page break holds")
	return cmd
}

// serveUI serves the page until a signal arrives.
func (a *app) serveUI(ctx context.Context, f *uiFlags, prefix string) error {
	opt, err := f.options()
	if err != nil {
		return err
	}
	loading, cancel, err := a.listing(ctx)
	if err != nil {
		return err
	}
	b, err := board.Open(loading, a.client, prefix)
	cancel()
	if err != nil {
		return err
	}
	defer b.Close()
	opt.Board, opt.Client, opt.Prefix = b, a.client, prefix
	server, err := page.Serve(ctx, f.listen, opt)
	switch {
	case errors.Is(err, page.ErrOpen):
		return usagef("others can reach %s; type a loopback address, --token-file, or "+
			"--client-ca with --serve-cert and --serve-key", f.listen)
	case err != nil:
		return usagef("cannot serve on %s: %w", f.listen, err)
	}
	defer server.Close()
	if err := a.print(map[string]any{"url": server.URL}, server.URL); err != nil {
		return err
	}
	<-ctx.Done() // a signal, the usual end
	return nil
}

// options returns the options that the flags describe.
func (f *uiFlags) options() (page.Options, error) {
	opt := page.Options{AllowBreak: f.allowBreak, Token: os.Getenv("HOLDFAST_UI_TOKEN")}
	for _, host := range f.hosts {
		if strings.ContainsAny(host, ":/ ") {
			return opt, usagef("--host %q is not a name; type it without a scheme and a port", host)
		}
		opt.Hosts = append(opt.Hosts, strings.ToLower(host))
	}
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return opt, usagef("--token-file: %w", err)
		}
		opt.Token = strings.TrimSpace(string(text))
	}
	var err error
	if opt.TLS, err = f.tls(); err != nil {
		return opt, err
	}
	switch {
	case f.tokenFile != "" && opt.Token == "":
		return opt, usagef("--token-file: %s is empty", f.tokenFile)
	case opt.Token != "" && len(opt.Token) < page.MinToken:
		return opt, usagef("the token has %d bytes, which others can guess; at least %d are needed",
			len(opt.Token), page.MinToken)
	case opt.Token != "" && opt.TLS == nil && !f.plaintext && !page.Loopback(f.listen):
		return opt, usagef("a token over http can be read on the way; type --serve-cert and " +
			"--serve-key, or --plaintext-token")
	}
	return opt, nil
}

// tls returns the configuration of the server, or nil for http.
func (f *uiFlags) tls() (*tls.Config, error) {
	switch {
	case (f.cert == "") != (f.key == ""):
		return nil, usagef("--serve-cert and --serve-key go together; type both")
	case f.cert == "" && f.clientCA != "":
		return nil, usagef("--client-ca needs --serve-cert and --serve-key")
	case f.cert == "":
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, usagef("--serve-cert and --serve-key: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if f.clientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, usagef("--client-ca: %w", err)
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, usagef("--client-ca: %w", fmt.Errorf("no certificate in %s", f.clientCA))
	}
	return cfg, nil
}
