package gateway

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Endpoints are "http://host:port", "https://host:port", either with a path below which a proxy
// serves etcd, or "unix:///path/of/socket".

const unixScheme = "unix"

func scheme(endpoint string) string {
	s, _, _ := strings.Cut(endpoint, "://")
	return s
}

// secure reports whether third parties on the network cannot read the requests to an endpoint: a
// socket file stays on this machine.
func secure(endpoint string) bool { return scheme(endpoint) != "http" }

// tlsClass groups the endpoints that one client can use together: TLS is configured for all of them
// or for none.
func tlsClass(endpoint string) bool { return scheme(endpoint) == "https" }

// parseEndpoint returns "scheme://host:port/path", without a slash at the end, or "unix://path".
// Its errors never quote the input, because it may hold a password.
func parseEndpoint(raw string) (string, error) {
	if strings.TrimSpace(raw) == "" {
		return "", invalid("new", "an empty endpoint")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", invalid("new", "an endpoint that is not a URL")
	}
	switch {
	case u.User != nil:
		return "", invalid("new", "an endpoint with a user in it: use Username and Password")
	case u.Scheme == unixScheme:
		return parseSocket(u)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", invalid("new", "an endpoint must begin with http://, https:// or unix://")
	case u.Hostname() == "":
		return "", invalid("new", "an endpoint without a host")
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return "", invalid("new",
			"endpoint %s has more than scheme, host, port and path", clean(u.Host))
	case strings.HasSuffix(u.Host, ":"):
		return "", invalid("new", "endpoint %s has an empty port", clean(u.Host))
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.Zone() != "" {
		return "", invalid("new",
			"endpoint %s has an IPv6 zone, which is not supported", clean(u.Host))
	}
	dir, ok := plainPath(u.EscapedPath())
	switch {
	case !ok:
		return "", invalid("new",
			"the path of endpoint %s is not a plain one such as /etcd", clean(u.Host))
	case slices.Contains([]string{"v3", "v3beta", "v3alpha"}, path.Base(dir)):
		return "", invalid("new",
			"the path of endpoint %s ends with the API's own: leave that out, or set APIPrefix",
			clean(u.Host))
	}
	return u.Scheme + "://" + u.Host + dir, nil
}

// plainPath removes the slash at the end of a path, and reports whether nothing on the way would
// change or split it.
func plainPath(p string) (string, bool) {
	p = strings.TrimSuffix(p, "/")
	return p, p == "" || p[0] == '/' && path.Clean(p) == p &&
		!strings.ContainsAny(p, "?#% \\;") && clean(p) == p
}

// parseSocket reads the name of the socket as etcd and clientv3 do: it is the text after "unix://",
// also in "unix://localhost:2379", which is a file of that name in the working directory.
func parseSocket(u *url.URL) (string, error) {
	file := u.Host + u.Path + u.Opaque
	switch {
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return "", invalid("new", "endpoint %s has more than the path of a socket", clean(file))
	case strings.Trim(file, "/.") == "":
		return "", invalid("new", "an endpoint without a socket")
	}
	return unixScheme + "://" + filepath.Clean(file), nil
}

// Requests need a host. Each socket has its own, or the transport would mix up their connections.
// The name cannot exist elsewhere, because nothing is registered below "invalid".
const socketHost = ".unix-socket.invalid"

// baseURL returns the URL of an endpoint for net/http.
func baseURL(endpoint string) string {
	if file, ok := strings.CutPrefix(endpoint, unixScheme+"://"); ok {
		return "http://" + hex.EncodeToString([]byte(file)) + socketHost
	}
	return endpoint
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialSockets maps the hosts that baseURL makes back to socket files.
func dialSockets(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if name, _, ok := strings.Cut(addr, socketHost+":"); ok {
			if file, err := hex.DecodeString(name); err == nil {
				return dial(ctx, unixScheme, string(file))
			}
		}
		return dial(ctx, network, addr)
	}
}
