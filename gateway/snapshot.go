package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Snapshot is the database of a member while it is being sent. Its content is the form that
// "etcdutl snapshot restore" accepts: the database, followed by its SHA-256, which etcd appends. It
// is for one reader; only Close is safe to call concurrently.
type Snapshot struct {
	endpoint string
	version  string
	size     int64

	lines  *bufio.Reader
	close  func()
	ctx    context.Context //nolint:containedctx // of the one request
	client *Client

	sum  hash.Hash
	tail []byte // the last bytes received: at the end the checksum
	got  int64
	rest []byte // received and not read
	err  error
}

// Size returns the bytes to read, the checksum included.
func (s *Snapshot) Size() int64 { return s.size }

// Version returns the version of the member, and so of the etcdutl to restore with; empty before
// etcd 3.6.
func (s *Snapshot) Version() string { return s.version }

// Endpoint returns the URL of the member.
func (s *Snapshot) Endpoint() string { return s.endpoint }

// Snapshot begins to read the database of the member, and returns once the first part was received.
// It is sent once. ctx bounds the reading too, and no time limit of the client applies. With auth
// on it needs a user with the role root. The caller must close the Snapshot, read to the end or
// not. Returns ErrUnavailable when the member cannot be reached, and ErrCorrupt when the answer is
// empty.
func (m MemberClient) Snapshot(ctx context.Context) (*Snapshot, error) {
	ctx, ep, leave, err := m.visit(ctx, opSnapshot)
	if err != nil {
		return nil, err
	}
	s, err := m.client.snapshot(ctx, ep, leave)
	if err != nil {
		leave()
		return nil, err
	}
	return s, nil
}

const opSnapshot = "snapshot"

// snapshot opens a snapshot. leave belongs to it if there is no error.
func (c *Client) snapshot(ctx context.Context, ep *endpoint, leave func()) (*Snapshot, error) {
	r := &call{op: opSnapshot}
	for renewed, found := false, false; ; {
		token, err := c.auth.tokenFor(ctx, r)
		if err != nil {
			return nil, err
		}
		s, e := c.openSnapshot(ctx, ep, token)
		switch {
		case e == nil:
			stop := sync.OnceFunc(leave)
			body := s.close
			// In this order, or Read would report the connection.
			s.close = func() { stop(); body() }
			return s, nil
		case ctx.Err() != nil:
			return nil, c.ended(ctx, r, e)
		case e.noSuchPath() && !found && c.otherPrefix(ctx, ep):
			found = true
		case e.aboutToken() && c.auth.enabled() && !renewed:
			renewed = true
			c.auth.drop(token)
		default:
			return nil, e
		}
	}
}

func (c *Client) openSnapshot(ctx context.Context, ep *endpoint, token Secret) (*Snapshot, *Error) {
	if e := c.refuseOld(ctx, ep, opSnapshot); e != nil {
		return nil, e
	}
	req, err := c.request(ctx, ep, "/maintenance/snapshot", token, strings.NewReader("{}"))
	if err != nil {
		return nil, &Error{Op: opSnapshot, Endpoint: ep.url, cause: setupError{err}}
	}
	resp, err := c.rt.RoundTrip(req) //nolint:bodyclose // Snapshot.Close closes it
	if err != nil {
		e := transportError(ctx, ctx, opSnapshot, ep, err)
		c.checkScheme(ctx, ep, e, nil)
		return nil, e
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		// The part that was received is enough for an error text.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxPlain))
		return nil, statusError(opSnapshot, ep, resp, body)
	}
	s := &Snapshot{
		endpoint: ep.url, lines: bufio.NewReaderSize(resp.Body, 64<<10),
		close: func() { resp.Body.Close() }, ctx: ctx, client: c, sum: sha256.New(),
	}
	first, err := s.next(ep)
	if err == nil && first == nil {
		err = fmt.Errorf("%w: an empty snapshot", ErrCorrupt)
	}
	if err != nil {
		s.close()
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		return nil, &Error{Op: opSnapshot, Endpoint: ep.url, cause: err}
	}
	s.version = first.Version
	//nolint:gosec // compared with the bytes that are received
	s.size = int64(len(first.Blob)) + int64(first.Remaining) + sha256.Size
	s.take(first.Blob)
	return s, nil
}

type wireSnapshot struct {
	Remaining etcdjson.Uint64 `json:"remaining_bytes"`
	Blob      etcdjson.Bytes  `json:"blob"`
	Version   string          `json:"version"`
}

// next reads one message; nil at the end.
func (s *Snapshot) next(ep *endpoint) (*wireSnapshot, error) {
	line, err := readLine(s.lines)
	if len(line) == 0 && errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // the end is neither a message nor an error
	}
	// An error of an older version ends without a newline.
	if err != nil && (!errors.Is(err, io.EOF) || !json.Valid(line)) {
		if errors.Is(err, io.EOF) {
			if line[0] != '{' {
				return nil, protocolError(opSnapshot, ep, line, errors.New("no message"))
			}
			err = io.ErrUnexpectedEOF // an end that must not look complete
		}
		return nil, transportError(s.ctx, s.ctx, opSnapshot, ep, err)
	}
	var m struct {
		Result *wireSnapshot `json:"result"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, protocolError(opSnapshot, ep, line, err)
	}
	if m.Result != nil {
		return m.Result, nil
	}
	err = lineError(line)
	if e, ok := errors.AsType[*Error](err); ok {
		e.Op, e.Endpoint = opSnapshot, ep.url
		return nil, e
	}
	return nil, protocolError(opSnapshot, ep, line, err)
}

// take keeps the last bytes out of the sum: at the end they are the expected sum.
func (s *Snapshot) take(part []byte) {
	s.got += int64(len(part))
	s.rest = part
	joined := append(s.tail, part...) //nolint:gocritic // the tail is replaced below
	cut := max(0, len(joined)-sha256.Size)
	s.sum.Write(joined[:cut])
	s.tail = append([]byte(nil), joined[cut:]...)
}

// Read reads the database, followed by its checksum. It returns io.EOF only after all was received
// and the checksum is right. Returns ErrCorrupt when the checksum is wrong or data is missing,
// ErrUnavailable when the connection breaks, the context's error when ctx of the call to Snapshot
// ends or Close is called, and ErrClosed after [Client.Close].
func (s *Snapshot) Read(p []byte) (int, error) {
	for len(s.rest) == 0 && s.err == nil {
		s.more()
	}
	if len(s.rest) == 0 {
		return 0, s.err
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *Snapshot) more() {
	ep := &endpoint{url: s.endpoint}
	m, err := s.next(ep)
	switch {
	case s.ctx.Err() != nil && (err != nil || m == nil):
		last, _ := errors.AsType[*Error](err)
		s.err = s.client.ended(s.ctx, &call{op: opSnapshot}, last)
	case err != nil:
		s.err = err
	case m != nil:
		s.take(m.Blob)
	case s.got != s.size:
		err := fmt.Errorf("%w: %d bytes of %d", ErrCorrupt, s.got, s.size)
		s.err = &Error{Op: opSnapshot, Endpoint: s.endpoint, cause: err}
	case string(s.sum.Sum(nil)) != string(s.tail):
		err := fmt.Errorf("%w: the checksum is wrong", ErrCorrupt)
		s.err = &Error{Op: opSnapshot, Endpoint: s.endpoint, cause: err}
	default:
		s.err = io.EOF
	}
}

// Close ends the transfer and returns nil. It may be called again, and while Read waits, which it
// ends.
func (s *Snapshot) Close() error {
	s.close()
	return nil
}
