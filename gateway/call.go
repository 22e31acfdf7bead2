package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// call is one request: its content, and how a lost answer is handled.
type call struct {
	op    string
	path  string // below the API prefix
	body  []byte
	write bool // it changes something: a lost answer leaves a doubt
	// repeat marks a read, or a write that may be applied twice. It is retried at the next
	// endpoint.
	repeat bool
	linear bool // its answer shows the newest revision
	lease  bool // about a lease: the answer names the cluster
	local  bool // a member answers it without the leader
	noAuth bool
	fresh  bool // a connection of its own, closed after the answer
	lines  bool // its answer is a list, of which a part is useful

	timeout time.Duration // of one attempt, if not the client's
	gather  time.Duration // the pause between the beginning of the answer and its reading
	answer  func(body []byte) (etcdjson.Header, error)
	sent    clock.Instant // when the answered attempt began
	served  *endpoint     // the endpoint that answered
	// avoid is not used for the first attempt if there is another endpoint.
	avoid *endpoint
	lost  bool // an attempt had an unknown outcome
	// settled reports whether the error of a repeated attempt means that an earlier one was
	// applied.
	settled func(err *Error) (ok bool)
}

// maxInFlight bounds the calls of a client that are in flight. More would wait in the server, where
// the attempt's time runs.
const maxInFlight = 128

// do runs a call until it is answered, is rejected, has an unknown outcome that must not be
// repeated, or ctx ends.
func (c *Client) do(ctx context.Context, r *call) error {
	if err := c.ctx.Err(); err != nil {
		return &Error{Op: r.op, cause: ErrClosed}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	//nolint:contextcheck // the life of the client joins the caller's
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()

	var (
		pause *backoff.ExponentialBackOff
		// unusable holds endpoints that cannot work until the set-up changes.
		unusable map[*endpoint]error
		// renewed holds the endpoints that rejected a token: each may expire it at another time.
		renewed []*endpoint
		doubts  doubts
		last    *Error
	)
	for try := 0; ; try++ {
		if ctx.Err() != nil {
			return c.ended(ctx, r, last)
		}
		token, err := c.auth.tokenFor(ctx, r)
		if err != nil {
			return r.fate(err)
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return c.ended(ctx, r, last)
		}
		// Picked after the wait, because another call may have found an endpoint failed meanwhile.
		ep := c.eps.pickOther(r.avoid)
		r.avoid = nil
		began := time.Now()
		e := c.attempt(ctx, ep, r, token, c.attemptTimeout(r, try))
		<-c.slots
		c.pace.note(e, time.Since(began) <= c.cfg.AttemptTimeout)
		switch {
		case e == nil:
			return nil
		case r.lost && r.settled != nil && r.settled(e):
			return nil
		case e.aboutToken() && c.auth.enabled() && !r.noAuth && !slices.Contains(renewed, ep):
			renewed = append(renewed, ep)
			c.auth.drop(token)
			continue
		case c.auth.refusedWordlessly(token, e):
			continue
		}
		r.lost = r.lost || !e.refused()
		var s setupError
		switch {
		case errors.As(e.cause, &s) && (r.repeat || e.refused()):
			if unusable == nil {
				unusable = map[*endpoint]error{}
			}
			if unusable[ep] = e; covered(c.eps, unusable) {
				return r.fate(joined(r, e, unusable))
			}
		case ctx.Err() != nil:
			if last == nil || e.cause == nil || !errors.Is(e.cause, ctx.Err()) {
				last = e // it says more than the end of the context
			}
			return c.ended(ctx, r, last)
		case !r.repeat && !e.refused():
			c.failed(ep, e, began)
			return r.fate(e)
		case e.doubtful() && !doubts.confirmed(ep, c.eps.size()):
		case !e.elsewhere():
			return r.fate(e)
		}
		last = e
		c.failed(ep, e, began)
		c.log.Debug("request_failed", "op", r.op, "endpoint", ep.url, "attempt", try+1, "err", e)
		if (try+1)%c.eps.size() != 0 {
			continue // an endpoint that has not been tried yet needs no pause
		}
		if pause == nil {
			pause = newBackoff()
		}
		if !sleep(ctx, pause.NextBackOff()) {
			return c.ended(ctx, r, last)
		}
	}
}

// failed notes that an endpoint failed an attempt. If it did not answer in time while its watch
// stream is silent, the member is likely partitioned or paused, so the watches move at once: the
// stream would need seconds longer to notice.
func (c *Client) failed(ep *endpoint, e *Error, began time.Time) {
	c.eps.failed(ep, e)
	if e.late() && c.eps.pick() != ep {
		c.hub.leave(ep, began)
	}
}

// fate marks the error of a write that may have been applied.
func (r *call) fate(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && r.write && r.lost {
		return e.asUncertain()
	}
	return err
}

// newBackoff starts low, so that the death of a leader costs little more than the election.
func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(25*time.Millisecond), backoff.WithMultiplier(1.6),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ended returns the error of a call whose context ended. last is the attempt that was cut off, or
// the one before.
func (c *Client) ended(ctx context.Context, r *call, last *Error) error {
	e := &Error{Op: r.op, cause: ctxerr.Of(ctx)}
	if c.ctx.Err() != nil {
		e.cause = ErrClosed
	}
	if last != nil {
		e.Endpoint = last.Endpoint
		if last.cause == nil || !errors.Is(last.cause, ctx.Err()) {
			e.cause = fmt.Errorf("%w (last attempt: %w)", e.cause, last)
		}
	}
	return r.fate(e)
}

func joined(r *call, last *Error, unusable map[*endpoint]error) *Error {
	if len(unusable) == 1 {
		return last
	}
	var all []error
	for _, err := range unusable {
		all = append(all, err)
	}
	return &Error{Op: r.op, Message: "no usable endpoint", cause: errors.Join(all...)}
}

// send is attempt without hooks. Connecting may take as long as the answer, and the answer's time
// begins only after it, because a request that was not sent has no unknown outcome.
func (c *Client) send(
	ctx context.Context, ep *endpoint, r *call, token Secret, timeout time.Duration,
) *Error {
	if e := c.refuseOld(ctx, ep, r.op); e != nil {
		return e
	}
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	expiry := time.AfterFunc(timeout, cancel)
	defer expiry.Stop()
	way := &delivery{connected: func() { expiry.Reset(timeout) }}
	ctx = way.follow(ctx)
	req, err := c.request(ctx, ep, r.path, token, bytes.NewReader(r.body))
	if err != nil {
		return &Error{Op: r.op, Endpoint: ep.url, unsent: true, cause: setupError{err}}
	}
	if !r.local {
		// Without it a member that has lost its leader lets the request hang for seconds.
		req.Header["Grpc-Metadata-Hasleader"] = headerTrue
	}
	limit := timeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	ms := max(1, min(limit.Milliseconds(), 99_999_999))
	req.Header["Grpc-Timeout"] = []string{strconv.FormatInt(ms, 10) + "m"}
	req.Close = r.fresh
	floor := c.revision.Load()
	sent := clock.Now()
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		e := transportError(caller, ctx, r.op, ep, err)
		e.judge(way)
		c.checkScheme(ctx, ep, e, way)
		return e
	}
	defer resp.Body.Close()
	if r.gather > 0 {
		sleep(ctx, r.gather)
	}
	body, err := c.readBody(resp)
	if err != nil {
		whole := bytes.LastIndexByte(body, '\n') + 1
		if r.lines && whole > 0 && resp.StatusCode == http.StatusOK {
			_, _ = r.answer(body[:whole]) // the complete lines count; the error is about the rest
		}
		e := transportError(caller, ctx, r.op, ep, err)
		e.unsent = false // an answer had begun
		return e
	}
	if resp.StatusCode != http.StatusOK {
		e := statusError(r.op, ep, resp, body)
		if e.noSuchPath() && c.otherPrefix(ctx, ep) {
			return c.send(caller, ep, r, token, timeout)
		}
		return e
	}
	return c.readAnswer(r, ep, body, floor, sent)
}

func (c *Client) readAnswer(
	r *call, ep *endpoint, body []byte, floor int64, sent clock.Instant,
) *Error {
	header, err := r.answer(body)
	if err == nil && header.ClusterID == 0 {
		// A proxy may have replaced the status.
		if code, message, ok := decodeError(body, http.StatusOK); ok {
			return (&Error{Op: r.op, Endpoint: ep.url, Code: code, Message: message}).explainAt(ep)
		}
	}
	if err == nil {
		err = whole(header, r)
		if err == nil {
			err = c.saw(header, floor, r.linear)
		}
		if err == nil {
			r.sent, r.served = sent, ep
			c.eps.served(ep)
			ep.member.Store(uint64(header.MemberID))
			return nil
		}
		return &Error{Op: r.op, Endpoint: ep.url, cause: err}
	}
	if e, ok := errors.AsType[*Error](err); ok { // an error line in a stream of answers
		e.Op, e.Endpoint = r.op, ep.url
		return e
	}
	return protocolError(r.op, ep, body, err)
}

var (
	headerTrue = []string{"true"}
	headerJSON = []string{"application/json"}
)

// request makes a POST. Accept is always sent, because without it etcd can take the caller for the
// user that the server's own certificate names.
func (c *Client) request(
	ctx context.Context, ep *endpoint, path string, token Secret, body io.Reader,
) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, ep.urlOf(path), body)
	if err != nil {
		return nil, err
	}
	req.Host = ep.host
	req.Header["Accept"] = headerJSON
	req.Header["Content-Type"] = headerJSON
	if token != "" {
		req.Header["Authorization"] = []string{string(token)}
	}
	return req, nil
}

func (c *Client) readBody(resp *http.Response) ([]byte, error) {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, setupError{fmt.Errorf("%w: encoded as %s", ErrProtocol, clean(enc))}
	}
	if resp.ContentLength > c.cfg.MaxResponse {
		return nil, setupError{fmt.Errorf("%w: %d bytes, more than the %d allowed",
			ErrResponseTooLarge, resp.ContentLength, c.cfg.MaxResponse)}
	}
	buf := bytes.NewBuffer(make([]byte, 0, max(512, min(resp.ContentLength+bytes.MinRead, 1<<20))))
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, c.cfg.MaxResponse+1))
	if n > c.cfg.MaxResponse {
		return nil, setupError{fmt.Errorf("%w: more than the %d bytes allowed",
			ErrResponseTooLarge, c.cfg.MaxResponse)}
	}
	return buf.Bytes(), err
}
