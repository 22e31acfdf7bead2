package etcdproc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A PKI is a certificate authority with the server certificate of a cluster. It also makes client
// certificates. Its certificates and keys are for one test only. Its methods are safe for
// concurrent use.
type PKI struct {
	// The paths of the files for etcd and command line clients.
	CAFile, ServerCertFile, ServerKeyFile string

	dir    string
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	trust  *x509.CertPool
	server tls.Certificate
}

// NewPKI makes an authority and a server certificate for loopback addresses and writes them into
// dir. The server certificate has a common name only if serverCommonName is not empty. A PKI
// without a cluster is for tests of clients that trust another authority, or have certificates of
// one. NewPKI returns an error if it cannot write a file or the system has no randomness.
func NewPKI(dir, serverCommonName string) (*PKI, error) {
	p := &PKI{dir: dir, trust: x509.NewCertPool()}
	if err := p.create(serverCommonName); err != nil {
		return nil, fmt.Errorf("etcdproc: make certificates: %w", err)
	}
	return p, nil
}

func (p *PKI) create(serverCommonName string) error {
	if err := os.MkdirAll(p.dir, 0o777); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := newTemplate("holdfast test authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	p.caKey = key
	p.trust.AddCert(p.ca)
	p.CAFile = filepath.Join(p.dir, "ca.pem")
	if err := writePEM(p.CAFile, "CERTIFICATE", der); err != nil {
		return err
	}
	p.server, err = p.issue(serverCommonName, x509.ExtKeyUsageServerAuth,
		x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	p.ServerCertFile, p.ServerKeyFile, err = p.write("server", p.server)
	return err
}

// TrustTLS returns the configuration of a client that trusts the authority and has no certificate.
func (p *PKI) TrustTLS() *tls.Config {
	return &tls.Config{RootCAs: p.trust, MinVersion: tls.VersionTLS12}
}

// ServerTLS returns the configuration of a server with the server certificate, for tests that
// replace etcd by a server of their own.
func (p *PKI) ServerTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.server}, MinVersion: tls.VersionTLS12}
}

// ClientTLS returns the configuration of a client that trusts the authority and has a new
// certificate. If commonName is empty, the certificate has no common name; with authentication on,
// etcd refuses gateway requests with a common name. ClientTLS panics if the system has no
// randomness.
func (p *PKI) ClientTLS(commonName string) *tls.Config {
	certificate, err := p.issue(commonName, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		panic(fmt.Sprintf("etcdproc: make a client certificate: %v", err))
	}
	config := p.TrustTLS()
	config.Certificates = []tls.Certificate{certificate}
	return config
}

// ClientFiles makes a client certificate like ClientTLS and writes it and its key into files for
// command line clients. The names of the files begin with name. It returns an error if it cannot
// write them.
func (p *PKI) ClientFiles(name, commonName string) (certFile, keyFile string, err error) {
	certificate, err := p.issue(commonName, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err == nil {
		certFile, keyFile, err = p.write(name, certificate)
	}
	if err != nil {
		return "", "", fmt.Errorf("etcdproc: make client certificate %s: %w", name, err)
	}
	return certFile, keyFile, nil
}

// serverAuthOnly replaces the server certificate by one that is not valid for clients.
func (p *PKI) serverAuthOnly(commonName string) (err error) {
	if p.server, err = p.issue(commonName, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	p.ServerCertFile, p.ServerKeyFile, err = p.write("server", p.server)
	return err
}

// issue signs a certificate. Most are valid for servers and clients, because etcd's gateway calls
// etcd with the server's certificate.
func (p *PKI) issue(commonName string, usage ...x509.ExtKeyUsage) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := newTemplate(commonName)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = usage
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, &key.PublicKey, p.caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func (p *PKI) write(name string, c tls.Certificate) (certFile, keyFile string, err error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(p.dir, name+".pem"), filepath.Join(p.dir, name+"-key.pem")
	return certFile, keyFile, errors.Join(
		writePEM(certFile, "CERTIFICATE", c.Certificate[0]),
		writePEM(keyFile, "PRIVATE KEY", key),
	)
}

func newTemplate(commonName string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text())),
		Subject:      pkix.Name{Organization: []string{"holdfast tests"}, CommonName: commonName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
