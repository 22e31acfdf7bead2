package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// transportError returns the error of an attempt without an answer. caller ends with the call,
// attempt with this attempt at the latest.
func transportError(caller, attempt context.Context, op string, ep *endpoint, err error) *Error {
	e := &Error{Op: op, Endpoint: ep.url, Code: CodeUnavailable}
	e.cause, e.wordless = withoutURL(err), true
	var netErr *net.OpError
	switch {
	case caller.Err() != nil:
		e.Code, e.cause, e.cutOff = CodeDeadlineExceeded, ctxerr.Of(caller), true
	case attempt.Err() != nil:
		// Not a context error for the caller, whose context has not ended.
		e.Code, e.Message = CodeDeadlineExceeded, "no answer in time"
		e.cause, e.timedOut = nil, true
	case errors.As(err, new(setupError)):
		e.Code = 0
	case tlsMistake(err):
		e.Code, e.unsent, e.wordless, e.cause = 0, true, false, setupError{e.cause}
		record := tls.RecordHeaderError{}
		if errors.As(err, &record) && string(record.RecordHeader[:]) == httpMagic {
			e.cause = setupError{fmt.Errorf("%w: %w", errSpeaksPlain, err)}
		}
	case fromGRPC(err):
		e.Code, e.unsent, e.wordless, e.cause = 0, true, false, setupError{errSpeaksGRPC}
	case errors.As(err, new(dialError)), errors.As(err, &netErr) && netErr.Op == "dial":
		e.unsent, e.wordless = true, false // not even a connection
	}
	if caller.Err() == nil &&
		(errors.Is(e.cause, context.DeadlineExceeded) || errors.Is(e.cause, context.Canceled)) {
		// For example a dialer's own time limit, which is not the caller's.
		e.cause = errors.New(e.cause.Error())
	}
	return e
}

// judge adds the transport's report of a request that has failed.
func (e *Error) judge(way *delivery) {
	switch {
	case way.nothingSent():
		e.unsent, e.wordless = true, false
		if e.timedOut {
			e.Message = "no connection in time"
		}
	case way.onUsedConn():
		// An alert on such a connection is not a rejected handshake.
		e.unsent = false
	}
}

func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// statusError reads an answer whose status is not 200.
func statusError(op string, ep *endpoint, resp *http.Response, body []byte) *Error {
	e := &Error{Op: op, Endpoint: ep.url}
	var ok bool
	if e.Code, e.Message, ok = decodeError(body, resp.StatusCode); ok {
		e = e.explainAt(ep)
		if e.Code == CodeUnimplemented ||
			resp.StatusCode == http.StatusNotFound && e.Message == "Not Found" {
			e.unsent = true
			e.cause = setupError{fmt.Errorf("%w: HTTP %d (%w)",
				ErrProtocol, resp.StatusCode, errors.ErrUnsupported)}
		}
		return e
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = "of unknown type"
	}
	e.wordless = true
	what := fmt.Errorf("%w: HTTP %d, %s", ErrProtocol, resp.StatusCode, clean(kind))
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		// A proxy without a backend: another endpoint may succeed.
		e.Code, e.cause = CodeUnavailable, what
		return e
	case resp.StatusCode < 300:
		e.cause = setupError{what} // it may have been applied
		return e
	}
	e.unsent = true // it never reached etcd
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Code, e.cause = CodeUnavailable, what
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		host := "an unnamed place"
		if u, err := resp.Location(); err == nil {
			host = clean(u.Host)
		}
		e.cause = setupError{fmt.Errorf("%w: HTTP %d, redirects to %s, which is never followed",
			ErrProtocol, resp.StatusCode, host)}
	case resp.StatusCode == http.StatusNotFound:
		e.cause = setupError{fmt.Errorf("%w (%w)", what, errors.ErrUnsupported)}
	case bytes.Contains(body, []byte("HTTP request to an HTTPS server")), // Go's servers; nginx
		bytes.Contains(body, []byte("plain HTTP request was sent to HTTPS port")):
		e.cause = setupError{errSpeaksTLS}
	case bytes.Contains(body, []byte("CommonName of client sending a request against gateway")):
		e.cause = setupError{errors.New(
			"etcd refuses client certificates with a CommonName while auth is on")}
	default:
		e.cause = setupError{what}
	}
	return e
}

// protocolError returns the error of a 200 with a body that cannot be right.
func protocolError(op string, ep *endpoint, body []byte, err error) *Error {
	return &Error{
		Op: op, Endpoint: ep.url,
		cause: setupError{fmt.Errorf("%w: %w in %s", ErrProtocol, err, excerpt(body))},
	}
}

// excerpt returns the beginning of a body, to identify its sender, up to the JSON, which may hold
// keys and values. It ends at the first line or colon, because a server that returns the request's
// headers would show the token.
func excerpt(body []byte) string {
	b := bytes.TrimSpace(body)
	if len(b) == 0 {
		return "an empty answer"
	}
	b = b[:min(len(b), 64)]
	switch i := bytes.IndexAny(b, "{[\":\r\n"); i {
	case -1:
		return strconv.Quote(string(b))
	case 0:
		return fmt.Sprintf("%d bytes of JSON", len(body))
	default:
		return strconv.Quote(string(b[:i]))
	}
}
