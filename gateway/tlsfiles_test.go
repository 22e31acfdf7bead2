package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// authority signs certificates for both ends.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var (
	serial   = big.NewInt(time.Now().UnixNano())
	serialMu sync.Mutex
)

func template(name string) *x509.Certificate {
	serialMu.Lock()
	defer serialMu.Unlock()
	serial = new(big.Int).Add(serial, big.NewInt(1))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := template(name)
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue makes a certificate and its key, in PEM.
func (a *authority) issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := template(name)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	tmpl.DNSNames, tmpl.IPAddresses = []string{"etcd.test"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// secured is a server over TLS whose certificate and trusted authority can be changed, and which
// records its clients.
type secured struct {
	*httptest.Server
	mu      sync.Mutex
	cert    tls.Certificate
	trusted *x509.CertPool
	clients []string
}

func newSecured(t *testing.T, a *authority) *secured {
	t.Helper()
	s := &secured{}
	s.use(t, a, a)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request,
	) {
		s.mu.Lock()
		s.clients = append(s.clients, r.TLS.PeerCertificates[0].Subject.CommonName)
		s.mu.Unlock()
		w.Header().Set("Connection", "close") // each request makes a new handshake
		ok(w)
	}))
	s.Config.ErrorLog = quiet
	s.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.cert},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.trusted,
			}, nil
		},
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// use sets the server's certificate and the authority that it trusts.
func (s *secured) use(t *testing.T, own, clients *authority) {
	t.Helper()
	cert, key := own.issue(t, "server")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cert, s.trusted = pair, clients.pool()
}

// names returns the clients so far.
func (s *secured) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clients)
}

// tlsFiles writes the files of a client.
type tlsFiles struct {
	t *testing.T
	gateway.TLSFiles
}

func newTLSFiles(t *testing.T) tlsFiles {
	t.Helper()
	dir := t.TempDir()
	return tlsFiles{t, gateway.TLSFiles{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "client.pem"),
		KeyFile: filepath.Join(dir, "key.pem"),
	}}
}

func (f tlsFiles) write(name string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// client makes a client that uses the files.
func (f tlsFiles) client(s *secured, l *logs) *gateway.Client {
	f.t.Helper()
	cfg, err := f.Config()
	if err != nil {
		f.t.Fatal(err)
	}
	return newClient(f.t, gateway.Config{Endpoints: []string{s.URL}, TLS: cfg, Logger: l.logger()})
}

// TestNewConnectionsReadTheFilesAgain: each new connection uses the current contents of the files.
// While they are invalid the last valid contents stay in use, and writes succeed.
func TestNewConnectionsReadTheFilesAgain(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	s := newSecured(t, first)
	f := newTLSFiles(t)
	cert1, key1 := first.issue(t, "one")
	f.write(f.CAFile, first.pem())
	f.write(f.CertFile, cert1)
	f.write(f.KeyFile, key1)
	var l logs
	c := f.client(s, &l)
	put := func(step, client string) {
		t.Helper()
		if _, err := c.Put(within(t, 10*time.Second), "k", nil); err != nil {
			t.Errorf("%s: %v", step, err)
		} else if names := s.names(); names[len(names)-1] != client {
			t.Errorf("%s: served as %v, want %s", step, names, client)
		}
	}
	put("at first", "one")

	cert2, key2 := first.issue(t, "two")
	f.write(f.KeyFile, key2) // before the certificate
	put("with a key that does not fit", "one")
	if !strings.Contains(l.String(), "tls_files_not_used") ||
		strings.Count(l.String(), "tls_files_not_used") != 1 {
		t.Errorf("one Warn is wanted in %s", l.String())
	}
	f.write(f.CertFile, cert2[:len(cert2)/2])
	put("with half of a certificate", "one")
	f.write(f.CertFile, cert2)
	put("renewed", "two")

	if err := os.Remove(f.CertFile); err != nil {
		t.Fatal(err)
	}
	put("with a certificate that is gone", "two")

	// A file with another authority for both replaces the old one.
	cert3, key3 := second.issue(t, "six")
	f.write(f.CertFile, cert3)
	f.write(f.KeyFile, key3)
	half := append(slices.Clone(first.pem()), second.pem()[:60]...)
	f.write(f.CAFile, half)
	s.use(t, first, second)
	put("with half of a new root", "six")
	f.write(f.CAFile+".new", second.pem())
	if err := os.Rename(f.CAFile+".new", f.CAFile); err != nil {
		t.Fatal(err)
	}
	s.use(t, second, second)
	put("with a new root", "six")

	// The old root is no longer trusted.
	s.use(t, first, second)
	_, err := c.Put(within(t, 10*time.Second), "k", nil)
	wantErr(t, err, nil, list(gateway.ErrUncertain))
	if err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of the old authority: %v", err)
	}
	noCanary(t, l.String())
}

// TestFilesVerifyTheNameOfTheServer: the server's certificate is verified in the same way with
// files.
func TestFilesVerifyTheNameOfTheServer(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "authority")
	s := newSecured(t, a)
	f := newTLSFiles(t)
	cert, key := a.issue(t, "client")
	f.write(f.CAFile, a.pem())
	f.write(f.CertFile, cert)
	f.write(f.KeyFile, key)
	for name, want := range map[string]string{"": "", "etcd.test": "", "other.test": "other.test"} {
		f.ServerName = name
		_, err := f.client(s, &logs{}).Put(within(t, 10*time.Second), "k", nil)
		if want == "" && err != nil || want != "" &&
			(err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("server name %q: %v", name, err)
		}
	}
	cfg, err := f.Config()
	if err != nil || cfg.InsecureSkipVerify || cfg.MinVersion != tls.VersionTLS12 ||
		cfg.RootCAs == nil {
		t.Errorf("the configuration is %+v, %v", cfg, err)
	}
	f.ServerName = ""
	host := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // not a name in the certificate
	cfg, err = f.Config()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, gateway.Config{Endpoints: []string{host}, TLS: cfg})
	_, err = c.Put(within(t, 10*time.Second), "k", nil)
	if err == nil || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("a name that is not in the certificate: %v", err)
	}
}

func TestBadFilesAreRejected(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "authority")
	cert, key := a.issue(t, "client")
	_, otherKey := a.issue(t, "other")
	for name, change := range map[string]func(f *tlsFiles){
		"no key":            func(f *tlsFiles) { f.KeyFile = "" },
		"no certificate":    func(f *tlsFiles) { f.CertFile = "" },
		"no such authority": func(f *tlsFiles) { f.CAFile += "x" },
		"no such key":       func(f *tlsFiles) { f.KeyFile += "x" },
		"a foreign key":     func(f *tlsFiles) { f.write(f.KeyFile, otherKey) },
		"an empty root":     func(f *tlsFiles) { f.write(f.CAFile, nil) },
		"half a root":       func(f *tlsFiles) { f.write(f.CAFile, a.pem()[:100]) },
		"a key as a root":   func(f *tlsFiles) { f.write(f.CAFile, key) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTLSFiles(t)
			f.write(f.CAFile, a.pem())
			f.write(f.CertFile, cert)
			f.write(f.KeyFile, key)
			change(&f)
			if _, err := f.Config(); err == nil {
				t.Error("no error")
			}
		})
	}
	if cfg, err := (gateway.TLSFiles{}).Config(); err != nil || cfg.RootCAs != nil {
		t.Errorf("no files at all: %+v, %v", cfg, err)
	}
}

// TestTheLastPasswordStaysWhileItsFileIsMissing: a new password is used, and the last one stays in
// use while the file is missing or empty.
func TestTheLastPasswordStaysWhileItsFileIsMissing(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "password")
	read := gateway.PasswordFile(name)
	if _, err := read(t.Context()); err == nil {
		t.Error("no file, and no error")
	}
	for _, tt := range []struct{ content, want string }{
		{"one", "one"},
		{"two\n", "two"},
		{"three\r\n", "three"},
		{"", "three"},
		{"\n", "three"},
		{" four \n\n", " four \n"},
	} {
		if err := os.WriteFile(name, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t.Context()); err != nil || string(got) != tt.want {
			t.Errorf("%q is read as %q, %v", tt.content, string(got), err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t.Context()); err != nil || string(got) != " four \n" {
		t.Errorf("without the file: %q, %v", string(got), err)
	}
}
