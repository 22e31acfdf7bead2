package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// conn is one stream: a full-duplex HTTP/1.1 exchange, which etcd's server allows on a request that says
// "Connection: close". All but its first fields are guarded by hub.mu.
type conn struct {
	ep     *endpoint
	out    *outbox
	cancel context.CancelCauseFunc

	heard atomic.Int64 // when the last byte came, since hub.epoch
	reads atomic.Int64 // how often bytes came

	byID        map[int64]*watch
	creating    []*watch // asked for and not yet answered, in order; nil is a probe
	life        *time.Timer
	opened      bool  // the answer has begun
	stood       bool  // a watch was confirmed
	probed      bool  // asked for a sign of life,
	probedAt    int64 // when so much had been read
	abandoned   bool  // no watch was left
	asksVersion bool
	ordered     bool          // progress answers are known to come in order with events
	progressAt  time.Duration // when progress was asked for, since hub.epoch
	news        time.Duration // when the last event came, since hub.epoch; 0: none has
}

const (
	// streamSilence is how long a stream may be silent before it is asked for a sign of life, and again how long that
	// may take.
	streamSilence = 2 * time.Second
	// progressEvery is how often a busy stream is asked how far it has come, or its quiet watches would be resumed from
	// where history may have been compacted.
	progressEvery = time.Minute
	// maxLine bounds one message, in bytes. Large answers come in fragments of about 2 MB.
	maxLine = 16 << 20
)

var errStalled = errors.New("the stream gives no sign of life")

// stream runs one stream to its end and reports whether a watch stood on it. A nil error means that no watch was left.
// patience is how long its first answer may take.
func (h *hub) stream(ep *endpoint, patience time.Duration) (stood bool, _ *Error) {
	ctx, cancel := context.WithCancelCause(h.c.ctx)
	defer cancel(nil)
	opening, opened := context.WithTimeout(ctx, 2*h.c.cfg.AttemptTimeout)
	token, err := h.c.auth.tokenFor(opening, &call{op: "watch"})
	opened()
	if err != nil {
		return false, streamError(ctx, ep, err)
	}
	cn := &conn{ep: ep, out: newOutbox(), cancel: cancel, byID: map[int64]*watch{}}
	// The transport waits for its reader of the body before it gives up a request that has no answer yet.
	defer context.AfterFunc(ctx, func() { _ = cn.out.Close() })()
	req, err := h.c.request(ctx, ep, "/watch", token, cn.out)
	if err != nil {
		return false, &Error{Op: "watch", Endpoint: ep.url, cause: setupError{err}}
	}
	req.Close = true                                   // or the server holds back its answer until the request ends
	req.Header["Grpc-Metadata-Hasleader"] = headerTrue // or a member without a leader just looks quiet
	h.heard(cn)
	if !h.attach(cn, patience) {
		return false, nil
	}
	err = h.exchange(ctx, cn, req)
	_ = cn.out.Close() // it has no error
	if h.detach(cn) {
		return cn.stood, nil
	}
	e := streamError(ctx, ep, err)
	if e.aboutToken() || !cn.stood && h.c.auth.refusedWordlessly(token, e) {
		h.c.auth.drop(token)
	}
	return cn.stood, e
}

// exchange sends the request and reads its answer for as long as it lasts.
func (h *hub) exchange(ctx context.Context, cn *conn, req *http.Request) error {
	if e := h.c.refuseOld(ctx, cn.ep, "watch"); e != nil {
		return e
	}
	resp, err := h.c.rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what has come will do for an error text
		e := statusError("watch", cn.ep, resp, body)
		if e.noSuchPath() && h.c.otherPrefix(ctx, cn.ep) {
			e = &Error{Op: "watch", Endpoint: cn.ep.url, Code: CodeUnavailable, Message: "another API prefix"} // the next stream has it
		}
		return e
	}
	h.mu.Lock()
	cn.opened = true
	h.mu.Unlock()
	h.streamOpened(cn.ep)
	lines := bufio.NewReaderSize(&pulse{resp.Body, h, cn}, 64<<10)
	for {
		line, err := readLine(lines)
		// A last line without its end is an error of an older version, or the half of something.
		if len(line) > 0 && (err == nil || json.Valid(line)) {
			if err := h.handle(ctx, cn, line); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// streamError names why a stream ended; what cancelled it knows better than the transport.
func streamError(ctx context.Context, ep *endpoint, err error) *Error {
	if e, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		return e
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return transportError(ctx, ctx, "watch", ep, err)
}

// pulse notes when bytes come.
type pulse struct {
	r  io.Reader
	h  *hub
	cn *conn
}

func (p *pulse) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.h.heard(p.cn)
	return n, err
}

// readLine reads one message. The last one, an error in older versions, may lack the newline. The line is valid until
// the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := append([]byte(nil), line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxLine {
			return nil, setupError{fmt.Errorf("%w: a message of more than %d bytes", ErrProtocol, maxLine)}
		}
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// ordersProgress asks for the version of a member: before 3.4.25 and 3.5.8 an answer to a progress request may overtake
// events. It is not known when there is no answer.
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
