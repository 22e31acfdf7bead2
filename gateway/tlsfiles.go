package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// TLSFiles names PEM files for TLS. They are read again when they change, so that renewed
// certificates need no restart.
type TLSFiles struct {
	// CAFile holds certificates of the authorities that sign the servers' certificates; empty: the
	// system's roots.
	CAFile string
	// CertFile holds the client's certificate and its intermediates; empty: none.
	CertFile string
	// KeyFile holds the key of CertFile.
	KeyFile string
	// ServerName is the name in the servers' certificates; empty: the host of each endpoint.
	ServerName string
}

// Config reads the files and returns a configuration for [Config].TLS. Before each handshake, a
// client of this package checks whether a file has changed (its time, its size, or another file in
// its place), and uses the new content. Open connections stay open. If a new file cannot be used,
// because it is incomplete, or because the key does not fit the certificate yet, the last good
// files stay in use. The client logs the reason (Warn) and checks again at the next handshake.
// Certificate and key are replaced together or not at all.
//
// The servers' certificates are verified by crypto/tls. TLS sessions are not resumed, because a
// resumed one would not be verified against new roots. Fields of the result may be set, except
// RootCAs if CAFile is given. Other users of crypto/tls see changes of the client's certificate,
// but not of the roots.
//
// Returns ErrInvalid when only one of CertFile and KeyFile is given, and the error of a file that
// cannot be read.
func (f TLSFiles) Config() (*tls.Config, error) {
	if (f.CertFile == "") != (f.KeyFile == "") {
		return nil, invalid("tls", "a certificate needs its key, and a key its certificate")
	}
	r := &tlsReloader{files: f}
	if err := r.refresh(); err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: f.ServerName, RootCAs: r.roots,
		ClientSessionCache: r,
	}
	if f.CertFile != "" {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			_, cert, _ := r.current()
			return cert, nil
		}
	}
	return cfg, nil
}

// tlsReloader holds the last good contents of TLSFiles. tls.Config carries it in the field for a
// cache of sessions, though it keeps none.
type tlsReloader struct {
	files TLSFiles

	mu             sync.Mutex
	roots          *x509.CertPool
	cert           *tls.Certificate
	ca, chain, key stamp
}

// Get finds no session.
func (*tlsReloader) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put keeps no session.
func (*tlsReloader) Put(string, *tls.ClientSessionState) {}

// current returns the contents to use now. The error says why a file that has changed is not used.
func (r *tlsReloader) current() (*x509.CertPool, *tls.Certificate, error) {
	err := r.refresh()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roots, r.cert, err
}

// refresh reads the files that have changed. On an error the last good contents stay.
func (r *tlsReloader) refresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errCA, errPair := r.readRoots(), r.readPair()
	if errCA != nil {
		return errCA
	}
	return errPair
}

func (r *tlsReloader) readRoots() error {
	if r.files.CAFile == "" {
		return nil
	}
	now := stampOf(r.files.CAFile)
	if r.roots != nil && now.same(r.ca) {
		return nil
	}
	roots, err := readPool(r.files.CAFile)
	if err != nil {
		return err
	}
	r.roots, r.ca = roots, now
	return nil
}

func (r *tlsReloader) readPair() error {
	if r.files.CertFile == "" {
		return nil
	}
	chain, key := stampOf(r.files.CertFile), stampOf(r.files.KeyFile)
	if r.cert != nil && chain.same(r.chain) && key.same(r.key) {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(r.files.CertFile, r.files.KeyFile)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", r.files.CertFile, r.files.KeyFile, err)
	}
	r.cert, r.chain, r.key = &cert, chain, key
	return nil
}

// readPool is stricter than AppendCertsFromPEM, which accepts the first half of a file.
func readPool(file string) (*x509.CertPool, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 || bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("%s: no certificate in PEM, or not all of it", file)
	}
	return pool, nil
}

// stamp identifies one state of a file. It is made before the file is read.
type stamp struct {
	info    fs.FileInfo // nil: no such file
	settled bool        // the file had not changed for a while
}

// settleTime is longer than the time steps of file systems. A file that is written twice within one
// step looks the same if its size does not change.
const settleTime = 2 * time.Second

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info: info, settled: time.Since(info.ModTime()) > settleTime}
}

func (s stamp) same(old stamp) bool {
	return s.info != nil && old.info != nil && old.settled && os.SameFile(s.info, old.info) &&
		s.info.ModTime().Equal(old.info.ModTime()) && s.info.Size() == old.info.Size()
}

// handshakeConfig returns the configuration of the next handshake with a host.
func (c *Client) handshakeConfig(host string) *tls.Config {
	cfg := c.cfg.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if files, ok := cfg.ClientSessionCache.(*tlsReloader); ok {
		roots, _, err := files.current()
		if roots != nil {
			cfg.RootCAs = roots
		}
		c.filesFailed(err)
	}
	return cfg
}

// filesFailed logs why files are not used, once for each reason.
func (c *Client) filesFailed(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if old := c.badFiles.Swap(text); text != "" && old != text {
		c.log.Warn("tls_files_not_used", "err", err)
	} else if text == "" && old != nil && old != "" {
		c.log.Info("tls_files_used_again")
	}
}
