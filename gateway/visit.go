package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Calls about one member, and not about the cluster, are sent to the endpoint that the caller
// names, once.

// patient is the time of an attempt that only the caller's context should end.
const patient = 24 * time.Hour

// adminTimeout bounds an attempt at a write that must not be repeated. It leaves the server its own
// time, because the outcome would be unknown without need otherwise.
const adminTimeout = 10 * time.Second

// visit finds the endpoint of a URL, and returns a context that also ends with the client. The
// empty URL is the endpoint in use. Any other URL must be allowed by the configuration.
func (c *Client) visit(
	ctx context.Context, op, url string,
) (context.Context, *endpoint, func(), error) {
	if c.ctx.Err() != nil {
		return nil, nil, nil, &Error{Op: op, cause: ErrClosed}
	}
	ep, err := c.endpointAt(url)
	if err != nil {
		err.Op = op
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	off := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, ep, func() { off(); cancel(nil) }, nil
}

func (c *Client) endpointAt(url string) (*endpoint, *Error) {
	if url == "" {
		return c.eps.pick(), nil
	}
	url, err := parseEndpoint(url)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		return nil, invalid("", "%v", err)
	}
	if ep := c.eps.find(url); ep != nil {
		return ep, nil
	}
	if why := c.cfg.excludes(url); why != "" {
		return nil, invalid("", "endpoint %s: %s", url, why)
	}
	return newEndpoint(url, c.cfg.APIPrefix), nil
}

// excludes returns why a client of this configuration must not use an endpoint that it does not
// name.
func (c *Config) excludes(url string) string {
	switch {
	case c.Transport != nil && scheme(url) == unixScheme:
		return "a Transport of your own takes no unix endpoints"
	case tlsClass(url) != tlsClass(c.Endpoints[0]):
		return "endpoints mix http and https"
	case c.Username != "" && !secure(url) && !c.AllowPlaintextAuth:
		return "a password over http needs AllowPlaintextAuth"
	}
	return ""
}

// at sends a call to one endpoint, once, or again if a new token may help, because the caller wants
// that endpoint's answer.
func (c *Client) at(ctx context.Context, ep *endpoint, r *call) error {
	for renewed := false; ; renewed = true {
		token, err := c.auth.tokenFor(ctx, r)
		if err != nil {
			return r.fate(err)
		}
		timeout := r.timeout
		if timeout == 0 {
			timeout = c.cfg.AttemptTimeout
		}
		e := c.attempt(ctx, ep, r, token, timeout)
		switch {
		case e == nil:
			return nil
		case e.aboutToken() && c.auth.enabled() && !renewed:
			c.auth.drop(token)
			continue
		case c.auth.refusedWordlessly(token, e):
			continue
		}
		r.lost = r.lost || !e.refused()
		return r.fate(e)
	}
}

func (m MemberClient) visit(
	ctx context.Context, op string,
) (context.Context, *endpoint, func(), error) {
	return m.client.visit(ctx, op, m.url)
}

// visitor is unary for a call to one member.
func visitor[A any](
	ctx context.Context, m MemberClient, r *call, request any,
	done func(*A) (etcdjson.Header, error),
) error {
	ctx, ep, leave, err := m.visit(ctx, r.op)
	if err != nil {
		return err
	}
	defer leave()
	if err := prepare(r, request, done); err != nil {
		return err
	}
	return m.client.at(ctx, ep, r)
}

// inTurn sends a call to one endpoint after the other, each once, as long as another may succeed or
// next reports true.
func (c *Client) inTurn(
	ctx context.Context, op string, next func(*Error) bool,
	try func(context.Context, *endpoint) error,
) error {
	ctx, _, leave, err := c.visit(ctx, op, "")
	if err != nil {
		return err
	}
	defer leave()
	list := c.eps.all()
	for i, ep := range list {
		if err = try(ctx, ep); err == nil || i == len(list)-1 || ctx.Err() != nil {
			break
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || !e.elsewhere() && !errors.As(e, new(setupError)) && !next(e) {
			break
		}
	}
	return err
}

// prepare sets the body of a call, and the function that reads its answer.
func prepare[A any](r *call, request any, done func(*A) (etcdjson.Header, error)) error {
	var err error
	if r.body, err = json.Marshal(request); err != nil {
		return invalid(r.op, "%v", err)
	}
	r.answer = func(body []byte) (etcdjson.Header, error) {
		answer := new(A) // one for each attempt: a bad answer must leave nothing behind
		if err := json.Unmarshal(body, answer); err != nil {
			return etcdjson.Header{}, err
		}
		return done(answer)
	}
	return nil
}

// rangeOf is for calls that accept only the options that extend a key to a range.
func rangeOf(key string, opts []Option) (from, to []byte, err error) {
	// The operations of Prefix, Range and FromKey, and of no other option.
	const ranged = kindGet | kindDelete | kindWatch
	if i := slices.IndexFunc(opts, func(o Option) bool { return o.on != ranged }); i >= 0 {
		return nil, nil, errors.New("option " + opts[i].name + " does not apply")
	}
	op := OpDelete(key, opts...)
	if op.wrong != "" {
		return nil, nil, errors.New(op.wrong)
	}
	first, last, err := bounds("", key, op.span, op.end)
	return []byte(first), bytesOrNil(last), err
}
