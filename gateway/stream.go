package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// conn is one stream: an HTTP exchange whose request creates watches, and whose answer delivers
// their events. A shared stream is full-duplex over HTTP/1.1, which etcd's server allows on a
// request with "Connection: close". The request of any other is complete when it is sent. All but
// the first fields are guarded by hub.mu.
type conn struct {
	m       *watchmux
	mode    mode
	out     *outbox         // the body of a shared stream
	body    []byte          // the body of any other
	http10  bool            // a finite stream: the version of its request
	failed  bool            // it failed, and not because of that version
	padded  bool            // newlines follow the body, see padding.go
	timeout time.Duration   // a poll: how long until etcd ends it
	ctx     context.Context //nolint:containedctx // the life of the stream
	cancel  context.CancelCauseFunc
	began   time.Duration // since hub.epoch, like all times here

	heard atomic.Int64 // when the last bytes were received

	places     map[int64]*place
	asked      []*place      // the unanswered creates, in order
	from       int64         // the earliest revision requested
	answered   time.Duration // when a create was answered last
	stood      bool          // a create was answered
	duplex     bool          // a create after the first was answered
	probed     bool          // a probe is not answered yet
	rev        int64         // the highest revision that it has shown
	progressAt time.Duration // when progress was asked for
	reports    bool          // it answers progress requests
	signAt     time.Duration // when progress was asked for as a sign of life; 0: answered
	renewed    bool          // another stream is to take over

	trial     bool // it only tests a mode and has no watch
	answers   int  // to the creates of a trial
	latecomer bool // the mode changed before this stream was answered
	// until is when a trial, or a stream of another mode than the one in use, is given up; 0:
	// never.
	until     time.Duration
	abandoned bool // no longer needed
}

const (
	// streamSilence is how long a stream may be silent, or behind the revision that the client has
	// seen elsewhere, before it is probed, and how long the answer to the probe may take.
	streamSilence = 2 * time.Second
	// progressEvery is how often a busy stream is asked for progress. Otherwise its quiet watches
	// would be resumed from revisions that may have been compacted.
	progressEvery = time.Minute
	// maxLine bounds one message, in bytes. Large answers are sent in fragments of about 2 MB.
	maxLine = 16 << 20
)

var (
	errStalled = errors.New("the stream gives no sign of life")
	errBehind  = errors.New("the member is behind what other members have shown")
	errOver    = errors.New("the poll is over")
)

// newConn makes a stream that open will send.
func (m *watchmux) newConn(as mode, now time.Duration) *conn {
	cn := &conn{m: m, mode: as, began: now, places: map[int64]*place{}}
	cn.ctx, cn.cancel = context.WithCancelCause(m.ctx)
	cn.heard.Store(int64(now))
	cn.answered, cn.progressAt = now, now
	switch as {
	case shared:
		cn.out = newOutbox()
	case finite:
		cn.http10 = m.h.c.http10 != nil && !m.ep.path.http11
	case unknown, polling:
	}
	return cn
}

// open begins the exchange. Later writes to a shared stream are sent at once.
func (m *watchmux) open(cn *conn) {
	m.conns[cn] = struct{}{}
	cn.padded = cn.needsPadding()
	m.streams.Add(1)
	ok := m.h.c.spawn(func() {
		defer m.streams.Done()
		defer cn.cancel(nil)
		m.ended(cn, m.exchange(cn))
	})
	if !ok {
		m.streams.Done()
		m.cancel(ErrClosed)
	}
}

func (cn *conn) write(line []byte) {
	if cn.mode == shared {
		cn.out.write(line)
	} else {
		cn.body = append(cn.body, line...)
	}
}

// ended handles the end of a stream. It ends the watchmux, too, unless it was expected.
func (m *watchmux) ended(cn *conn, err error) {
	e := streamError(cn.ctx, m.ep, err)
	m.h.mu.Lock()
	defer m.h.mu.Unlock()
	if cn.abandoned {
		return
	}
	if errors.Is(err, errOver) && cn.stood && len(cn.asked) > 0 {
		m.ep.path.losesCreates = true
	}
	expected := cn.trial || cn.latecomer || cn.mode != m.mode ||
		errors.Is(err, errOver) && (cn.stood || len(cn.places) == 0)
	m.remove(cn)
	switch {
	case cn.trial && !m.stood && e.otherProtocol():
		m.fail(e) // the transport reports it of a complete request alone
	case expected:
	case errors.Is(err, errOver):
		m.fail(m.stalled())
	default:
		m.fail(e)
	}
}

// exchange sends the request of a stream and reads its answer until it ends.
func (m *watchmux) exchange(cn *conn) error {
	h := m.h
	token, err := h.c.auth.tokenFor(cn.ctx, &call{op: "watch"})
	if err != nil {
		return err
	}
	err = m.converse(cn, token)
	e := streamError(cn.ctx, m.ep, err)
	h.mu.Lock()
	stood := cn.stood
	h.mu.Unlock()
	// One stall ends all streams of an endpoint, trials among them, and counts once.
	silent := !stood && !e.cutOff &&
		(e.wordless && !errors.Is(err, errOver) || !cn.trial && errors.Is(e, errStalled))
	if stood || silent {
		h.c.auth.noteStream(token, silent)
	}
	switch {
	case e.aboutToken():
		h.c.auth.drop(token)
	case !stood && !cn.trial && h.c.auth.refusedWordlessly(token, e):
		// Not the rejection itself, which would end new watches: the next stream has another token.
		err = &Error{
			Op: "watch", Endpoint: m.ep.url, Code: CodeUnavailable,
			Message: "an old token was refused",
		}
	}
	return err
}

func (m *watchmux) converse(cn *conn, token Secret) error {
	h := m.h
	if e := h.c.refuseOld(cn.ctx, m.ep, "watch"); e != nil {
		return e
	}
	var body io.Reader
	if cn.mode == shared {
		body = cn.out
		// The transport waits for its reader of the body before it abandons a request that has no
		// answer yet.
		defer context.AfterFunc(cn.ctx, func() { _ = cn.out.Close() })()
		defer func() { _ = cn.out.Close() }() // it has no error
	}
	req, err := h.c.request(cn.ctx, m.ep, "/watch", token, body)
	if err != nil {
		return &Error{Op: "watch", Endpoint: m.ep.url, cause: setupError{err}}
	}
	if cn.mode != shared {
		cn.setBody(req)
	}
	// Otherwise the server holds back its answer until the request ends.
	req.Close = cn.mode == shared || cn.padded
	// Otherwise a member without a leader would only be silent.
	req.Header["Grpc-Metadata-Hasleader"] = headerTrue
	if cn.timeout > 0 {
		limit := strconv.FormatInt(cn.timeout.Milliseconds(), 10) + "m"
		req.Header["Grpc-Timeout"] = []string{limit}
	}
	answered := cn.nudge()
	resp, err := cn.roundTrip(req)
	answered()
	if err != nil {
		cn.noteFailure(errors.As(err, new(dialError)))
		e := streamError(cn.ctx, m.ep, err)
		h.c.checkScheme(cn.ctx, m.ep, e, nil)
		if cn.mode == shared {
			h.c.checkGRPC(cn.ctx, m.ep, e)
		}
		return e
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		cn.noteFailure(true)
		// The part that was received is enough for an error text.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		e := statusError("watch", m.ep, resp, body)
		if cn.timeout > 0 && e.Code == CodeDeadlineExceeded {
			return errOver // before the first create was answered
		}
		if e.noSuchPath() && h.c.otherPrefix(cn.ctx, m.ep) {
			// The next stream uses the new prefix.
			e = &Error{
				Op: "watch", Endpoint: m.ep.url, Code: CodeUnavailable,
				Message: "another API prefix",
			}
		}
		return e
	}
	if !cn.trial && m.firstAnswer() {
		h.streamOpened(m.ep)
	}
	lines := bufio.NewReaderSize(&pulse{resp.Body, cn}, 64<<10)
	for {
		line, err := readLine(lines)
		// A last line without its end is an error of an older version, or an incomplete message.
		if len(line) > 0 && (err == nil || json.Valid(line)) {
			if err := h.handle(cn, line); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// streamError returns why a stream ended. The cause of the context is preferred to the transport's
// error, because it is more specific.
func streamError(ctx context.Context, ep *endpoint, err error) *Error {
	if e, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		return e
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return transportError(ctx, ctx, "watch", ep, err)
}

// pulse records when bytes are received.
type pulse struct {
	r  io.Reader
	cn *conn
}

func (p *pulse) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.cn.heard.Store(int64(p.cn.m.h.now()))
	return n, err
}

// readLine reads one message. The last one, an error in older versions, may lack the newline. The
// line is valid until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := append([]byte(nil), line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxLine {
			return nil, setupError{
				fmt.Errorf("%w: a message of more than %d bytes", ErrProtocol, maxLine),
			}
		}
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// ordersProgress asks for the version of a member. Before 3.4.25 and 3.5.8 an answer to a progress
// request may overtake events. known is false when there is no answer.
func (c *Client) ordersProgress(ctx context.Context, ep *endpoint) (ordered, known bool) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AttemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ep.pages+"/version", http.NoBody)
	if err != nil {
		return false, false
	}
	req.Header["Accept"] = headerJSON
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		return false, false
	}
	defer resp.Body.Close()
	var v struct {
		Server string `json:"etcdserver"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&v) != nil {
		return false, true
	}
	var major, minor, patch int
	if n, _ := fmt.Sscanf(v.Server, "%d.%d.%d", &major, &minor, &patch); n != 3 {
		return false, true
	}
	switch {
	case major != 3 || minor >= 6:
		return major >= 3, true
	case minor == 5:
		return patch >= 8, true
	default:
		return minor == 4 && patch >= 25, true
	}
}
