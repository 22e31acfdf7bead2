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

// Endpoints are "http://host:port", "https://host:port", either with a path behind which a proxy has etcd, or
// "unix:///path/of/socket".

const unixScheme = "unix"

func scheme(endpoint string) string {
	s, _, _ := strings.Cut(endpoint, "://")
	return s
}

// secure tells whether others on the way cannot read what is sent to an endpoint: a socket file leads no further than
// this machine.
func secure(endpoint string) bool { return scheme(endpoint) != "http" }

// tlsClass groups what one client can reach at once: TLS is configured for all of it or for none.
func tlsClass(endpoint string) bool { return scheme(endpoint) == "https" }

// parseEndpoint returns "scheme://host:port/path", without a slash at the end, or "unix://path". Its errors never quote the input, which may hold a
// password.
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
		return "", invalid("new", "endpoint %s has more than scheme, host, port and path", clean(u.Host))
	case strings.HasSuffix(u.Host, ":"):
		return "", invalid("new", "endpoint %s has an empty port", clean(u.Host))
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.Zone() != "" {
		return "", invalid("new", "endpoint %s has an IPv6 zone, which is not supported", clean(u.Host))
	}
	dir, ok := plainPath(u.EscapedPath())
	switch {
	case !ok:
		return "", invalid("new", "the path of endpoint %s is not a plain one such as /etcd", clean(u.Host))
	case slices.Contains([]string{"v3", "v3beta", "v3alpha"}, path.Base(dir)):
		return "", invalid("new", "the path of endpoint %s ends with the API's own: leave that out, or set APIPrefix", clean(u.Host))
	}
	return u.Scheme + "://" + u.Host + dir, nil
}

// plainPath takes the slash off the end of a path, and reports whether nothing in it would be changed or taken apart on the
// way.
func plainPath(p string) (string, bool) {
	p = strings.TrimSuffix(p, "/")
	return p, p == "" || p[0] == '/' && path.Clean(p) == p && !strings.ContainsAny(p, "?#% \\;") && clean(p) == p
}

// parseSocket takes the name of the socket as etcd and clientv3 do: what follows "unix://", also in "unix://localhost:2379",
// which is a file of that name in the working directory.
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

// Requests need a host, each socket another one, or the transport would mix up their connections. The name cannot be
// anybody's: nothing is registered below "invalid".
const socketHost = ".unix-socket.invalid"

// baseURL is where the requests for an endpoint go, in the words of net/http.
func baseURL(endpoint string) string {
	if file, ok := strings.CutPrefix(endpoint, unixScheme+"://"); ok {
		return "http://" + hex.EncodeToString([]byte(file)) + socketHost
	}
	return endpoint
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialSockets turns the hosts that baseURL makes back into socket files.
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
