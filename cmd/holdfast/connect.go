package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-go/holdfast/gateway"
)

// connectFlags describe how to reach etcd. Names and environment variables are etcdctl's where
// etcdctl has the same setting.
type connectFlags struct {
	endpoints         []string
	cacert, cert, key string
	serverName        string
	skipVerify        bool
	user              string
	passwordFile      string
	plaintextAuth     bool
	namespace         string
	timeout           duration
	apiPrefix         string
	idle              duration

	password  gateway.Secret
	tlsConfig *tls.Config // the result of tls, after its first call
}

const defaultEndpoint = "http://127.0.0.1:2379"

func (f *connectFlags) add(fs *pflag.FlagSet) {
	f.timeout = duration(5 * time.Second)
	fs.StringSliceVar(&f.endpoints, "endpoints", []string{defaultEndpoint},
		"client URLs of etcd's members [$ETCDCTL_ENDPOINTS]")
	fs.StringVar(&f.cacert, "cacert", "", "file with the certificates to trust [$ETCDCTL_CACERT]")
	fs.StringVar(&f.cert, "cert", "", "file with a client certificate [$ETCDCTL_CERT]")
	fs.StringVar(&f.key, "key", "", "file with its key [$ETCDCTL_KEY]")
	fs.StringVar(&f.serverName, "server-name", "",
		"name to expect in the servers' certificates, in place of the host")
	fs.BoolVar(&f.skipVerify, "insecure-skip-tls-verify", false,
		"do not check the servers' certificates [$ETCDCTL_INSECURE_SKIP_TLS_VERIFY]")
	fs.StringVar(&f.user, "user", "",
		"name to log in with; the password comes from --password-file or $ETCDCTL_PASSWORD "+
			"[$ETCDCTL_USER, as name or name:password]")
	fs.StringVar(&f.passwordFile, "password-file", "", "file with the password")
	fs.BoolVar(&f.plaintextAuth, "plaintext-auth", false,
		"send the password also over http, where others can read it")
	fs.StringVar(&f.namespace, "namespace", "",
		"put this before all keys, as Config.Namespace of the library does")
	fs.StringVar(&f.apiPrefix, "api-prefix", "",
		"path of the gateway at each endpoint, such as /etcd/v3 "+
			"(default as etcd's version needs)")
	f.idle = duration(gateway.DefaultIdleTimeout)
	fs.Var(&f.idle, "idle-timeout",
		"how long to keep an idle connection; less than each load balancer on the way does")
	fs.Var(&f.timeout, "command-timeout",
		"how long etcd may take to answer [$ETCDCTL_COMMAND_TIMEOUT]")
}

// fromEnviron lists the flags that the environment may set.
var fromEnviron = []string{
	"endpoints", "cacert", "cert", "key", "insecure-skip-tls-verify", "command-timeout",
}

// environ returns the name and value of the environment variable of a flag: etcdctl's, or the same
// without "CTL".
func environ(flag string) (name, value string) {
	suffix := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	for _, prefix := range []string{"ETCDCTL_", "ETCD_"} {
		if v := os.Getenv(prefix + suffix); v != "" {
			return prefix + suffix, v
		}
	}
	return "", ""
}

// fromEnv sets the flags that were not typed from the environment, and reads the password.
func (f *connectFlags) fromEnv(fs *pflag.FlagSet) error {
	for _, flag := range fromEnviron {
		if fs.Changed(flag) {
			continue
		}
		if name, value := environ(flag); value != "" {
			if err := fs.Set(flag, value); err != nil {
				return usagef("$%s is not a value for --%s; type: holdfast --help", name, flag)
			}
		}
	}
	if f.timeout == 0 {
		return usagef(
			"a --command-timeout of 0 leaves etcd no time to answer; type a time, such as 5s")
	}
	var password string
	if strings.Contains(f.user, ":") {
		return usagef("a password in --user can be read by everybody on this machine; " +
			"type only the name, and set ETCDCTL_PASSWORD or --password-file")
	}
	if f.user == "" {
		_, user := environ("user")
		f.user, password, _ = strings.Cut(user, ":")
	}
	switch _, env := environ("password"); {
	case f.passwordFile != "":
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return usagef("--password-file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	case password == "":
		password = env
	}
	if f.user == "" { // a password alone is ignored, as etcdctl does
		password = ""
	}
	f.password = gateway.Secret(password)
	return nil
}

// dial makes the client. It sends no request.
func (f *connectFlags) dial(log slog.Handler) (*gateway.Client, error) {
	encrypt := f.cacert != "" || f.cert != "" || f.key != "" || f.skipVerify || f.serverName != ""
	cfg := gateway.Config{
		Username: f.user, Password: f.password, AllowPlaintextAuth: f.plaintextAuth,
		Namespace: f.namespace,
		APIPrefix: f.apiPrefix, IdleTimeout: time.Duration(f.idle), Logger: slog.New(log),
	}
	if again := f.passwordFunc(); again != nil {
		cfg.Password, cfg.PasswordFunc = "", again
	}
	for _, ep := range f.endpoints {
		ep = strings.TrimSpace(ep)
		switch {
		case strings.Contains(ep, "://"):
		case encrypt:
			ep = "https://" + ep
		default:
			ep = "http://" + ep
		}
		cfg.Endpoints = append(cfg.Endpoints, ep)
	}
	if encrypt {
		var err error
		if cfg.TLS, err = f.tls(); err != nil {
			return nil, err
		}
	}
	plain := len(cfg.Endpoints) > 0 && strings.HasPrefix(cfg.Endpoints[0], "http://")
	if f.user != "" && plain && !f.plaintextAuth {
		return nil, usagef("a password over http can be read on the way; " +
			"use https endpoints, or type --plaintext-auth")
	}
	c, err := gateway.New(cfg)
	if err != nil {
		return nil, usagef("%w; type: holdfast --help", err)
	}
	return c, nil
}
