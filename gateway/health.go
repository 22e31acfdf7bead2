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

// ServerVersion is the etcd version of a member.
type ServerVersion struct {
	Server  string // of the member: "3.6.16"
	Cluster string // the version all members support: "3.6.0"
	Storage string // of the database; empty before etcd 3.6
}

// Version returns the versions of the member and of the cluster. It is sent once, without a token.
// Returns ErrUnavailable when the member does not answer within [Config].AttemptTimeout.
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

// Health is a member's report of its health.
type Health struct {
	// Healthy says that the member has a leader, no alarm is raised, and a linearizable read
	// through it works.
	Healthy bool
	Reason  string // the reason if not healthy, from the member; empty before etcd 3.5
}

// probeTimeout bounds a question about health, because a member that lost its quorum needs seconds
// to notice.
const probeTimeout = 15 * time.Second

// Health returns the member's health. A member that reports that it is not healthy is not an error.
// It is sent once, without a token. Returns ErrUnavailable when the member does not answer within
// 15 s.
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
// with the names of the checks that failed. It is sent once, without a token, and waits at most 15
// s. Returns [errors.ErrUnsupported] from members before 3.4.29 and 3.5.11, which have no such
// page.
func (m MemberClient) Readyz(ctx context.Context) error { return m.check(ctx, "readyz", "/readyz") }

// Livez calls the member's /livez. It returns nil when the member is live. A member without a
// quorum is live, because a restart would not help it. Otherwise it returns ErrUnavailable with the
// names of the checks that failed. It is sent once, without a token, and waits at most 15 s.
// Returns [errors.ErrUnsupported] from members before 3.4.29 and 3.5.11, which have no such page.
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
		return &Error{
			Op: op, Endpoint: ep.url, Code: CodeUnavailable,
			Message: clean(strings.Join(failed, "; ")),
		}
	}
	return statusError(op, ep, p.Response, p.body)
}

// page is an answer with its body.
type page struct {
	*http.Response
	body []byte
}

// maxPlain bounds the answers of the plain pages beside the gateway.
const maxPlain = 64 << 10

// ask reads one of the plain pages that a member serves beside the gateway. It sends no token,
// because they need none.
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
