// Package proxies runs nginx and haproxy as child processes on loopback ports before the members of
// an etcd.
//
// # Usage
//
// Start takes one of the configurations in the folder conf. docs/proxies.md contains the same
// files, so the documented configurations are the tested ones. A configuration names the addresses
// of the documentation: 10.0.0.1:2379 to 10.0.0.3:2379 for the members, and port 8379 for the proxy
// itself. Start replaces them by the real addresses.
//
// # Concurrency
//
// A Proxy and a Counter are safe for concurrent use. Close must be called once.
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

// The supported programs.
const (
	Nginx   = "nginx"
	HAProxy = "haproxy"
)

// ErrNotInstalled is returned for a program that is not installed.
var ErrNotInstalled = errors.New("not installed")

// listenPort is the proxy's port in the configurations.
const listenPort = "8379"

//go:embed conf
var configurations embed.FS

// Configuration returns the text of a configuration, such as "nginx/plain.conf". It returns an
// error if there is none of that name.
func Configuration(name string) (string, error) {
	text, err := configurations.ReadFile("conf/" + name)
	return string(text), err
}

// Options configure a proxy.
type Options struct {
	// Members are the addresses, host and port, that replace 10.0.0.1:2379 and so on.
	Members []string
	// Dir is the directory for the proxy's files. It must exist.
	Dir string
	// CertFile and KeyFile are for configurations with TLS.
	CertFile, KeyFile string
}

// A Proxy is a running proxy. Its methods are safe for concurrent use.
type Proxy struct {
	port    *ports.Port
	status  *ports.Port // for nginx's counters; nil for haproxy
	process *childproc.Process
	log     string
}

// Start starts a proxy and waits until it accepts connections. The name of the configuration is the
// folder of its program and its file, such as "nginx/plain.conf". The caller closes the proxy.
// Start returns ErrNotInstalled if the program is not installed. It returns another error if the
// proxy ends, or ctx ends, before it accepts connections.
func Start(ctx context.Context, name string, o Options) (_ *Proxy, err error) {
	program := path.Dir(name)
	binary, err := find(program)
	if err != nil {
		return nil, fmt.Errorf("proxies: start %s: %w", name, err)
	}
	p := &Proxy{log: filepath.Join(o.Dir, "log")}
	defer func() {
		if err != nil {
			err = fmt.Errorf("proxies: start %s: %w\n%s", name, errors.Join(err, p.Close()),
				p.Log())
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
		// One process in the foreground, because a worker would survive the process that is killed.
		args = []string{
			"-p", o.Dir, "-e", p.log, "-c", file, "-g",
			"daemon off; master_process off;",
		}
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

// find also looks in the directories where Debian installs servers, because they may be missing in
// PATH.
func find(program string) (string, error) {
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if binary, err := exec.LookPath(name); err == nil {
			return binary, nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, ErrNotInstalled)
}

// located replaces the addresses and files of the documentation by the real ones.
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

// nginxMain returns the main part of a distribution's nginx.conf, with all files below dir and a
// port for the counters, around the given servers.
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

// ready waits until the proxy accepts connections.
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

// Addr returns the address at which the proxy listens.
func (p *Proxy) Addr() string { return p.port.Addr() }

// URL returns the proxy's address for a client without TLS.
func (p *Proxy) URL() string { return "http://" + p.port.Addr() }

// Log returns the output of the proxy.
func (p *Proxy) Log() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

// Close kills the proxy and waits until it has ended. It returns an error if the process cannot be
// killed or a port cannot be released.
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
