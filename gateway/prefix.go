package gateway

import (
	"context"
	"fmt"
	"strings"
)

// The gateway's paths began with /v3alpha up to etcd 3.2, with /v3beta in 3.3, and begin with /v3
// since 3.4. The newest prefix is tried first. If a member does not know it, the client asks for
// the member's version.

const defaultPrefix = "/v3"

func (ep *endpoint) apiPrefix() string { return *ep.prefix.Load() }

// urlOf returns the URL of a path below the API prefix.
func (ep *endpoint) urlOf(path string) string {
	prefix := ep.apiPrefix()
	if strings.HasPrefix(path, "/lease/") && (prefix == "/v3alpha" || prefix == "/v3beta") {
		switch path {
		case "/lease/revoke", "/lease/timetolive", "/lease/leases":
			path = "/kv" + path // the path then; later versions know both
		}
	}
	return ep.base + prefix + path
}

// otherPrefix looks for the API prefix of an endpoint that does not know the one in use. It reports
// whether the prefix has changed.
func (c *Client) otherPrefix(ctx context.Context, ep *endpoint) bool {
	if c.cfg.APIPrefix != "" {
		return false
	}
	v, err := c.version(ctx, ep)
	if err != nil {
		return false
	}
	prefix := prefixOf(v.Server)
	if prefix == "" || prefix == ep.apiPrefix() {
		return false
	}
	ep.prefix.Store(&prefix)
	c.spawn(func() { // the caller may be a renewal, which must not block
		c.log.Debug("api_prefix_found", "endpoint", ep.url, "prefix", prefix, "version", v.Server)
	})
	return true
}

// prefixOf returns the API prefix of an etcd version, or "" if the text is not one.
func prefixOf(version string) string {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n != 2 || major < 3 {
		return ""
	}
	switch {
	case major == 3 && minor <= 2:
		return "/v3alpha"
	case major == 3 && minor == 3:
		return "/v3beta"
	}
	return defaultPrefix
}

// refuseOld returns an error for an endpoint that RejectOldCluster excludes.
func (c *Client) refuseOld(ctx context.Context, ep *endpoint, op string) *Error {
	if !c.cfg.RejectOldCluster || ep.recent.Load() {
		return nil
	}
	v, e := c.version(ctx, ep)
	if e != nil {
		e.Op, e.unsent = op, true
		return e
	}
	if prefixOf(v.Server) != defaultPrefix {
		return &Error{
			Op: op, Endpoint: ep.url, unsent: true,
			cause: setupError{fmt.Errorf("%w: %s", ErrOldCluster, clean(v.Server))},
		}
	}
	ep.recent.Store(true)
	return nil
}
