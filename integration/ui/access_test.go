package ui_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// get returns the status of a GET, or 0 if there was no answer.
func get(t *testing.T, url string, cfg *tls.Config, change func(*http.Request)) int {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: cfg}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// refused runs holdfast ui, which must refuse its flags with the status 64.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(within(t, patience), program, append([]string{
		"ui", "--endpoints", cluster.Endpoints()[0],
	}, args...)...)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 64 || !strings.Contains(string(out), want) {
		t.Errorf("%v: %v: %s", args, err, out)
	}
}

// address returns an address of this machine that is not loopback. The test is skipped where there
// is none.
func address(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// TestAnotherAddressNeedsATokenOrACertificate: without one, the program refuses to serve it, and a
// request through it finds nobody.
func TestAnotherAddressNeedsATokenOrACertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const token = "0123456789abcdef"
	secret := file("token", token+"\n")
	refused(t, "others can reach", "--listen", "0.0.0.0:0")
	refused(t, "others can reach", "--listen", ":0")
	refused(t, "read on the way", "--listen", "0.0.0.0:0", "--token-file", secret)
	refused(t, "can guess", "--token-file", file("short", "abc"))
	refused(t, "empty", "--token-file", file("empty", "\n"))
	refused(t, "together", "--serve-cert", secret)
	refused(t, "needs --serve-cert", "--client-ca", secret)
	refused(t, "without a scheme and a port", "--host", "ops.example:7379")

	other := address(t)
	port := func(url string) string {
		_, port, err := net.SplitHostPort(strings.Trim(strings.SplitN(url, "://", 2)[1], "/"))
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort(other, port)
	}
	url := serve(t, "x")
	if code := get(t, "http://"+port(url)+"/", nil, nil); code != 0 {
		t.Errorf("without a token, through another address: %d", code)
	}
	url = serve(t, "x", "--listen", "0.0.0.0:0", "--token-file", secret, "--plaintext-token")
	if code := get(t, "http://"+port(url)+"/", nil, nil); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	code := get(t, "http://"+port(url)+"/", nil, func(r *http.Request) { r.SetBasicAuth("", token) })
	if code != http.StatusOK {
		t.Errorf("with the token: %d", code)
	}

	pki, err := etcdproc.NewPKI(dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	url = serve(t, "x", "--listen", "0.0.0.0:0", "--serve-cert", pki.ServerCertFile,
		"--serve-key", pki.ServerKeyFile,
		"--client-ca", pki.CAFile)
	url = strings.Replace(url, "[::]", "127.0.0.1", 1)
	url = strings.Replace(url, "0.0.0.0", "127.0.0.1", 1)
	if code := get(t, url, pki.TrustTLS(), nil); code != 0 {
		t.Errorf("without a certificate: %d", code)
	}
	if code := get(t, url, pki.ClientTLS("ann"), nil); code != http.StatusOK {
		t.Errorf("with a certificate: %d", code)
	}
}

// TestThePageBreaksAHold with --allow-break, after it has asked for the reason.
func TestThePageBreaksAHold(t *testing.T) {
	t.Parallel()
	browser(t)
	name := fresh(t)
	l := <-lock(t, newSession(t, "holder"), name)
	p := open(t, serve(t, name, "--allow-break"), 1280, 800)
	p.await(".row", "holder")
	p.goTo("name/" + name)
	p.await(".panel .break", "Break")
	p.do(chromedp.Steps(
		chromedp.Click(".panel .break"), chromedp.SendKeys("dialog input", "host is on fire"),
		chromedp.Click("dialog .danger")))
	p.await(".row", "broken", "free")
	<-l.Context().Done()
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "host is on fire") {
		t.Errorf("the holder: %v", err)
	}
	p.clean()
}
