package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ServerVersion is what runs at an endpoint.
type ServerVersion struct {
	Server  string // of the member: "3.6.16"
	Cluster string // what all members can speak: "3.6.0"
	Storage string // of the database; empty before etcd 3.6
}

// Version asks the member for its version, and for that of the cluster. It asks once. No password
// is needed.
func (m MemberClient) Version(ctx context.Context) (*ServerVersion, error) {
	const op = "version"
	ctx, ep, done, err := m.visit(ctx, op)
	if err != nil {
		return nil, err
	}
	defer done()
	v, e := m.client.version(ctx, ep)
	if e != nil {
		return nil, e
	}
	return v, nil
}

func (c *Client) version(ctx context.Context, ep *endpoint) (*ServerVersion, *Error) {
	const op = "version"
	p, e := c.ask(ctx, ep, op, "/version", c.cfg.AttemptTimeout)
	if e != nil {
		return nil, e
	}
	if p.StatusCode != http.StatusOK {
		return nil, statusError(op, ep, p.Response, p.body)
	}
	var v struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
		Storage string `json:"storage"`
	}
	if err := json.Unmarshal(p.body, &v); err != nil {
		return nil, protocolError(op, ep, p.body, err)
	}
	if v.Server == "" {
		return nil, protocolError(op, ep, p.body, errors.New("no version"))
	}
	return &ServerVersion{Server: v.Server, Cluster: v.Cluster, Storage: v.Storage}, nil
}

// Health is what a member says of itself.
type Health struct {
	// Healthy: it has a leader, no alarm is raised, and a linearizable read through it works.
	Healthy bool
	Reason  string // why not, in the member's words; empty before etcd 3.5
}

// probeTimeout bounds a question about health: a member that lost its quorum takes seconds to find out.
const probeTimeout = 15 * time.Second

// Health asks the member whether it is healthy. A member that says it is not is no error; one that
// does not answer within 15 s or the context is. It asks once. No password is needed.
func (m MemberClient) Health(ctx context.Context) (*Health, error) {
	const op = "health"
	ctx, ep, done, err := m.visit(ctx, op)
	if err != nil {
		return nil, err
	}
	defer done()
	p, e := m.client.ask(ctx, ep, op, "/health", probeTimeout)
	if e != nil {
		return nil, e
	}
	var h struct {
		Health any    `json:"health"` // "true"; true in some versions
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(p.body, &h); err != nil || h.Health == nil {
		if p.StatusCode != http.StatusOK {
			return nil, statusError(op, ep, p.Response, p.body)
		}
		return nil, protocolError(op, ep, p.body, errors.New("no health"))
	}
	healthy := p.StatusCode == http.StatusOK && fmt.Sprint(h.Health) == "true"
	return &Health{Healthy: healthy, Reason: clean(h.Reason)}, nil
}

// Readyz calls the member's /readyz. It returns nil when the member can serve: it takes part in the
// cluster, reads linearizably and finds no damage in its data. Otherwise it returns ErrUnavailable
// with the names of the checks that failed. Members before 3.4.29 and 3.5.11 have no such page:
// [errors.ErrUnsupported].
func (m MemberClient) Readyz(ctx context.Context) error { return m.check(ctx, "readyz", "/readyz") }

// Livez calls the member's /livez. It returns nil when the member is live, which it also is without
// a quorum; a restart would not help it then. Members before 3.4.29 and 3.5.11 have no such page:
// [errors.ErrUnsupported].
func (m MemberClient) Livez(ctx context.Context) error { return m.check(ctx, "livez", "/livez") }

func (m MemberClient) check(ctx context.Context, op, path string) error {
	ctx, ep, done, err := m.visit(ctx, op)
	if err != nil {
		return err
	}
	defer done()
	p, e := m.client.ask(ctx, ep, op, path, probeTimeout)
	switch {
	case e != nil:
		return e
	case p.StatusCode == http.StatusOK:
		return nil
	case p.StatusCode == http.StatusServiceUnavailable:
		var failed []string
		for line := range strings.Lines(string(p.body)) {
			if strings.HasPrefix(line, "[-]") {
				failed = append(failed, strings.TrimSpace(line[len("[-]"):]))
			}
		}
		return &Error{Op: op, Endpoint: ep.url, Code: CodeUnavailable, Message: clean(strings.Join(failed, "; "))}
	}
	return statusError(op, ep, p.Response, p.body)
}

// page is an answer that was read to its end.
type page struct {
	*http.Response
	body []byte
}

// maxPlain bounds the answers of the plain pages beside the gateway.
const maxPlain = 64 << 10

// ask reads one of the plain pages that a member serves beside the gateway. It sends no token: they need none.
func (c *Client) ask(
	ctx context.Context, ep *endpoint, op, path string, timeout time.Duration,
) (*page, *Error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ep.pages+path, http.NoBody)
	if err != nil {
		return nil, &Error{Op: op, Endpoint: ep.url, unsent: true, cause: setupError{err}}
	}
	req.Host = ep.host
	req.Header["Accept"] = headerJSON
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		e := transportError(caller, ctx, op, ep, err)
		c.checkScheme(ctx, ep, e, nil)
		return nil, e
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPlain))
	if err != nil {
		return nil, transportError(caller, ctx, op, ep, err)
	}
	return &page{resp, body}, nil
}
