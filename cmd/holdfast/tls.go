package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/holdfast-go/holdfast/gateway"
)

// tls returns the configuration of https endpoints. It reads the files again when they change,
// because locks and consumers outlive certificates.
func (f *connectFlags) tls() (*tls.Config, error) {
	if f.tlsConfig != nil {
		return f.tlsConfig, nil
	}
	if (f.cert == "") != (f.key == "") {
		return nil, usagef("--cert and --key go together; type both")
	}
	cfg, err := f.tlsFromFiles()
	if err != nil {
		return nil, err
	}
	cfg.ServerName, cfg.InsecureSkipVerify = f.serverName, f.skipVerify
	f.tlsConfig = cfg
	return cfg, nil
}

func (f *connectFlags) tlsFromFiles() (*tls.Config, error) {
	if regular(f.cacert) && regular(f.cert) && regular(f.key) {
		cfg, err := gateway.TLSFiles{CAFile: f.cacert, CertFile: f.cert, KeyFile: f.key}.Config()
		if err != nil {
			return nil, usagef("--cacert, --cert and --key: %w", err)
		}
		return cfg, nil
	}
	return f.tlsOnce()
}

// tlsOnce reads the files once; later changes of the files have no effect.
func (f *connectFlags) tlsOnce() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return nil, usagef("--cacert: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usagef("--cacert: no certificate in %s", f.cacert)
		}
	}
	if f.cert == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, usagef("--cert and --key: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

// regular reports whether a file can be read again. A pipe, such as a shell's <(command), can be
// read only once. A name without a file counts as regular, because the reader returns a better
// error.
func regular(name string) bool {
	info, err := os.Stat(name)
	return err != nil || info.Mode().IsRegular()
}

// passwordFunc returns the function that reads the password file again, or nil if the password
// does not change.
func (f *connectFlags) passwordFunc() func(context.Context) (gateway.Secret, error) {
	if f.user == "" || f.passwordFile == "" || f.password == "" || !regular(f.passwordFile) {
		return nil
	}
	read := gateway.PasswordFile(f.passwordFile)
	return func(ctx context.Context) (gateway.Secret, error) {
		if p, err := read(ctx); err == nil {
			return p, nil
		}
		// The file existed at the start and may be missing only while it is replaced.
		return f.password, nil
	}
}
