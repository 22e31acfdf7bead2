// Package proxies runs nginx and haproxy as child processes on loopback ports, before the members of an etcd, each with
// one of the configurations under conf. docs/proxies.md shows those very files: what is documented is what is tested.
//
// A configuration names the addresses of the documentation, 10.0.0.1:2379 to 10.0.0.3:2379 for the members and 8379 for
// the proxy's own port. Start puts the real ones in their place.
package proxies

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/integration/internal/childproc"
	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

// The programs.
const (
	Nginx   = "nginx"
	HAProxy = "haproxy"
)

// ErrNotInstalled is returned for a program that this machine does not have.
var ErrNotInstalled = errors.New("not installed")

// listenPort is the proxy's port in the configurations.
const listenPort = "8379"

//go:embed conf
var configurations embed.FS

// Configuration returns the text of a configuration, such as "nginx/plain.conf".
func Configuration(name string) (string, error) {
	text, err := configurations.ReadFile("conf/" + name)
	return string(text), err
}

// Options say where a proxy leads to.
type Options struct {
	// Members are the addresses, host and port, that stand for 10.0.0.1:2379 and so on.
	Members []string
	// Dir gets the proxy's files. It must exist.
	Dir string
	// CertFile and KeyFile are for configurations with TLS.
	CertFile, KeyFile string
}

// A Proxy is a proxy that runs.
type Proxy struct {
	port    *ports.Port
	status  *ports.Port // of nginx's counters; nil for haproxy
	process *childproc.Process
	log     string
}

// Start starts a proxy with a configuration, named by its program's folder and its file, "nginx/plain.conf". It returns
// when the proxy accepts connections, and ErrNotInstalled where the program is missing. Close ends it.
func Start(ctx context.Context, name string, o Options) (_ *Proxy, err error) {
	program := path.Dir(name)
	binary, err := find(program)
	if err != nil {
		return nil, fmt.Errorf("proxies: start %s: %w", name, err)
	}
	p := &Proxy{log: filepath.Join(o.Dir, "log")}
	defer func() {
		if err != nil {
			err = fmt.Errorf("proxies: start %s: %w\n%s", name, errors.Join(err, p.Close()), p.Log())
		}
	}()
	if p.port, err = ports.Reserve(); err != nil {
		return nil, err
	}
	text, err := Configuration(name)
	if err != nil {
		return nil, err
	}
	text = p.located(text, o)
	file := filepath.Join(o.Dir, path.Base(name))
	var args []string
	switch program {
	case Nginx:
		if p.status, err = ports.Reserve(); err != nil {
			return nil, err
		}
		text = nginxMain(text, o.Dir, p.status.Addr())
		// One process, in the foreground: no worker outlives the one that is killed.
		args = []string{"-p", o.Dir, "-e", p.log, "-c", file, "-g", "daemon off; master_process off;"}
	case HAProxy:
		args = []string{"-db", "-f", file}
	}
	if err = os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if p.process, err = childproc.Start(binary, args, p.log); err != nil {
		return nil, err
	}
	return p, p.ready(ctx)
}

// find looks where Debian puts servers, too, which is not in everybody's PATH.
func find(program string) (string, error) {
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if binary, err := exec.LookPath(name); err == nil {
			return binary, nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, ErrNotInstalled)
}

// located puts real addresses and files in the place of those of the documentation.
func (p *Proxy) located(text string, o Options) string {
	replace := []string{
		"listen " + listenPort, "listen " + p.port.Addr(),
		"bind :" + listenPort, "bind " + p.port.Addr(),
		"/etc/nginx/etcd.pem", o.CertFile,
		"/etc/nginx/etcd-key.pem", o.KeyFile,
	}
	for i, m := range o.Members {
		replace = append(replace, "10.0.0."+strconv.Itoa(i+1)+":2379", m)
	}
	return strings.NewReplacer(replace...).Replace(text)
}

// nginxMain is what a distribution's nginx.conf has around the servers, with everything that is written below dir, and a
// port for the counters.
func nginxMain(servers, dir, status string) string {
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "scgi", "uwsgi"} {
		fmt.Fprintf(&temp, "    %s_temp_path %s/%s;\n", kind, dir, kind)
	}
	return fmt.Sprintf(`pid %[1]s/pid;
error_log %[1]s/log;
events {}
http {
    access_log off;
%[2]s
%[3]s
    server {
        listen %[4]s;
        location / {
            stub_status;
        }
    }
}
`, dir, temp.String(), servers, status)
}

// ready waits until connections are accepted.
func (p *Proxy) ready(ctx context.Context) error {
	const interval = 10 * time.Millisecond
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", p.port.Addr())
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.process.Exited():
			return fmt.Errorf("it ended: %w", p.process.Err())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(interval):
		}
	}
}

// Addr is the address at which the proxy listens.
func (p *Proxy) Addr() string { return p.port.Addr() }

// URL is the proxy's address for a client without TLS.
func (p *Proxy) URL() string { return "http://" + p.port.Addr() }

// Log is what the proxy has written.
func (p *Proxy) Log() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

// Close kills the proxy and waits until it is gone.
func (p *Proxy) Close() error {
	var errs []error
	if p.process != nil {
		errs = append(errs, p.process.Kill())
	}
	for _, port := range []*ports.Port{p.port, p.status} {
		if port != nil {
			errs = append(errs, port.Release())
		}
	}
	return errors.Join(errs...)
}
