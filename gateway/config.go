package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// Defaults of [Config].
const (
	DefaultAttemptTimeout = time.Second
	DefaultMaxResponse    = 64 << 20
	DefaultIdleTimeout    = 50 * time.Second
)

// Config is the configuration of a client. Only Endpoints is required; [New] copies the values that
// it needs.
type Config struct {
	// Endpoints are the client URLs of the members, "http://10.0.0.1:2379", or
	// "unix:///run/etcd.sock" for a socket file. Either all are https or none is. Behind a proxy an
	// endpoint may have a path, "https://lb.example/etcd", below which the member's pages are: /v3,
	// /version, /health and so on.
	Endpoints []string

	// APIPrefix is the path of the gateway at each endpoint. The default follows from the member's
	// version: nearly always "/v3", "/v3beta" for etcd 3.3, "/v3alpha" before. With "/etcd/v3" the
	// member's other pages are below "/etcd".
	APIPrefix string

	// RejectOldCluster makes calls return ErrOldCluster for endpoints that run an etcd older than
	// 3.4, the oldest version that is tested. The version is read before the first request to an
	// endpoint, because New does no I/O.
	RejectOldCluster bool

	// TLS configures https endpoints: roots, client certificate, server name. Nil means the
	// system's roots. It is cloned. Versions below TLS 1.2 are never used.
	TLS *tls.Config

	// Username and Password log in when etcd's auth is on. The client logs in with the first
	// request, and again when the server rejects the token.
	Username string
	Password Secret
	// PasswordFunc replaces Password. It returns the password for each log-in, so that the password
	// may change: see [PasswordFile]. Log-ins are at least a second apart. It may be called while
	// other calls continue with an old token. An error, or an empty password, fails the calls that
	// need the token; renewals keep retrying.
	PasswordFunc func(ctx context.Context) (Secret, error)
	// AllowPlaintextAuth permits a password over http, where anyone on the network can read it.
	AllowPlaintextAuth bool

	// Namespace is a prefix of every key, added to requests and removed from answers.
	Namespace string

	// AttemptTimeout bounds one attempt at one endpoint; the caller's context bounds the whole
	// call. Default 1 s. It doubles while a read is retried.
	AttemptTimeout time.Duration

	// IdleTimeout is how long an idle connection is kept for the next request. It must be below the
	// idle limit of each load balancer on the way. Otherwise writes are sent on connections that
	// the load balancer has closed, and their outcome is unknown. Default 50 s, because the usual
	// limits are 60 s and more.
	IdleTimeout time.Duration

	// MaxResponse bounds the size of one answer, in bytes. A call whose answer is larger returns
	// ErrResponseTooLarge. Default 64 MiB.
	MaxResponse int64

	// Logger receives the events that no call returns: failures that last and TLS files that cannot
	// be used (Warn), their ends and watches that lost their stream and resumed (Info), each
	// attempt that failed (Debug). Nil logs nothing.
	Logger *slog.Logger

	// Hooks are called for each attempt and each stream, for metrics and traces.
	Hooks Hooks

	// DialContext replaces the dialer of the client's own transport.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Transport replaces the client's own transport, TLS and DialContext included; it accepts no
	// sockets. It must not resend or redirect requests by itself, and must allow an answer to begin
	// before the request body ends, as [http.Transport] does.
	Transport http.RoundTripper
}

// Secret is a string that never appears in printed, logged or encoded output.
type Secret string

const redacted = "REDACTED"

// String returns a placeholder.
func (Secret) String() string { return redacted }

// Format prints a placeholder for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder, also to encoding/json.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// parseEndpoints normalizes endpoints, so that they can be compared.
func parseEndpoints(raw []string) ([]string, error) {
	if len(raw) == 0 {
		return nil, invalid("new", "no endpoints")
	}
	list := make([]string, len(raw))
	for i := range raw {
		ep, err := parseEndpoint(raw[i])
		if err != nil {
			return nil, err
		}
		if slices.Contains(list[:i], ep) {
			return nil, invalid("new", "endpoint %s is listed twice", ep)
		}
		if i > 0 && tlsClass(ep) != tlsClass(list[0]) {
			return nil, invalid("new", "endpoints mix http and https")
		}
		list[i] = ep
	}
	return list, nil
}

// withDefaults validates the configuration and sets the defaults.
func (c Config) withDefaults() (Config, error) {
	var err error
	if c.Endpoints, err = parseEndpoints(c.Endpoints); err != nil {
		return c, err
	}
	prefix, plain := plainPath(c.APIPrefix)
	private := !slices.ContainsFunc(c.Endpoints, func(ep string) bool { return !secure(ep) })
	sockets := slices.ContainsFunc(c.Endpoints, func(ep string) bool {
		return scheme(ep) == unixScheme
	})
	switch {
	case (c.Password != "" || c.PasswordFunc != nil) && c.Username == "":
		return c, invalid("new", "a password without a user name")
	case c.Password != "" && c.PasswordFunc != nil:
		return c, invalid("new", "Password and PasswordFunc exclude each other")
	case !utf8.ValidString(c.Username) || !utf8.ValidString(string(c.Password)):
		return c, invalid("new", "a user name or password that is not UTF-8")
	case c.Username != "" && !private && !c.AllowPlaintextAuth:
		return c, invalid("new", "a password over http needs AllowPlaintextAuth")
	case c.TLS != nil && !tlsClass(c.Endpoints[0]):
		return c, invalid("new", "TLS is configured but the endpoints are http")
	case c.TLS != nil && c.TLS.MaxVersion != 0 &&
		c.TLS.MaxVersion < max(c.TLS.MinVersion, tls.VersionTLS12):
		return c, invalid("new", "TLS is configured for no version from 1.2 on")
	case c.Transport != nil && sockets:
		return c, invalid("new", "a Transport of your own takes no unix endpoints")
	case c.APIPrefix != "" && (!plain || prefix == ""):
		return c, invalid("new", "the API prefix must be a plain path such as /v3")
	case c.AttemptTimeout < 0 || c.MaxResponse < 0 || c.IdleTimeout < 0:
		return c, invalid("new", "a negative limit")
	}
	c.APIPrefix = prefix
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = DefaultAttemptTimeout
	}
	if c.MaxResponse == 0 {
		c.MaxResponse = DefaultMaxResponse
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	// Leave room to calculate when the largest number stands for "no limit".
	c.AttemptTimeout = min(c.AttemptTimeout, 24*time.Hour)
	c.MaxResponse = min(c.MaxResponse, math.MaxInt64-1)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
