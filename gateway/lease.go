package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// LeaseID names a lease. It prints in hexadecimal, as etcd's own tools do.
type LeaseID int64

// String formats the ID as etcdctl does.
func (id LeaseID) String() string { return strconv.FormatUint(uint64(id), 16) }

// ParseLeaseID is the inverse of [LeaseID.String], for an ID that was stored. What is none is [ErrInvalid].
func ParseLeaseID(s string) (LeaseID, error) {
	id, err := strconv.ParseUint(s, 16, 64)
	if err != nil || id == 0 {
		return 0, invalid("parse lease", "%q is no lease ID in hexadecimal", clean(s))
	}
	return LeaseID(id), nil
}

// LogValue logs the ID as String gives it.
func (id LeaseID) LogValue() slog.Value { return slog.StringValue(id.String()) }

// NewLeaseID makes an ID that nobody can guess: a lease can be revoked by whoever knows it.
func NewLeaseID() LeaseID {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := LeaseID(binary.BigEndian.Uint64(b[:]) >> 1); id != 0 {
			return id
		}
	}
}

// MaxTTL is the longest time to live that etcd takes.
const MaxTTL = 9_000_000_000 * time.Second

// LeaseGrant is what is known of a lease from one answer. A TTL of 0 says that there is no such lease. [Client.Grant] and
// [Client.KeepAlive] report at most the time to live that was asked for, and the lease lives at least until Sent + TTL then.
type LeaseGrant struct {
	ID   LeaseID
	TTL  time.Duration
	Sent time.Time // when the request that was answered was sent
	sent clock.Instant
}

// Age is how long ago the request was sent. Time in which the machine slept counts, where the system tells of it, as Linux
// does; elsewhere the wall clock counts if it went further than the monotonic one.
func (g LeaseGrant) Age() time.Duration { return g.age(clock.Now()) }

func (g LeaseGrant) age(now clock.Instant) time.Duration {
	if g.sent.Time == g.Sent { //nolint:staticcheck // the very same reading
		return clock.Elapsed(g.sent, now)
	}
	return clock.Elapsed(clock.At(g.Sent), now) // not out of an answer
}

// at is the grant with the time of its request.
func (g LeaseGrant) at(sent clock.Instant) LeaseGrant {
	g.Sent, g.sent = sent.Time, sent
	return g
}

// seconds rounds a duration up to etcd's unit.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// lifetime reads etcd's unit. Numbers beyond what etcd grants must not wrap round to "gone".
func lifetime(s etcdjson.Int64) time.Duration {
	return time.Duration(min(max(s, -1), etcdjson.Int64(MaxTTL/time.Second))) * time.Second
}

// Grant makes a lease of the given time to live, which is rounded up to whole seconds. With an id of 0 a random one is
// chosen. A grant is safe to repeat: a lost answer is cleared up by the ID.
//
// Each member of etcd raises a time to live to one and a half times its own election timeout, and keeps and answers its
// own number. The one that counts is that of the leader of the moment, and no member's is below what was asked for. So
// the TTL that Grant returns is what was asked for, or the answer if that is less.
func (c *Client) Grant(ctx context.Context, id LeaseID, ttl time.Duration) (LeaseGrant, error) {
	if ttl <= 0 || ttl > MaxTTL {
		return LeaseGrant{}, invalid("grant", "a time to live of %v is not between 1s and %v", ttl, MaxTTL)
	}
	if id == 0 {
		id = NewLeaseID()
	}
	type request struct {
		ID  int64 `json:"ID,string"`
		TTL int64 `json:"TTL,string"`
	}
	type response struct {
		Header etcdjson.Header `json:"header"`
		ID     etcdjson.Int64  `json:"ID"`
		TTL    etcdjson.Int64  `json:"TTL"`
	}
	asked := lifetime(etcdjson.Int64(seconds(ttl)))
	grant := LeaseGrant{ID: id}
	existed := false
	r := &call{op: "grant", path: "/lease/grant", write: true, repeat: true, lease: true}
	r.settled = func(e *Error) bool {
		existed = e.Code == CodeFailedPrecondition && e.says("lease already exists")
		return existed
	}
	asking := request{int64(id), seconds(ttl)}
	err := unary(ctx, c, r, asking, func(a *response) (etcdjson.Header, error) {
		if a.TTL <= 0 || a.ID != etcdjson.Int64(id) {
			return a.Header, errors.New("grant: not the lease asked for")
		}
		grant.TTL = min(asked, lifetime(a.TTL))
		return a.Header, nil
	})
	switch {
	case err != nil:
		return LeaseGrant{}, err
	case existed: // an attempt whose answer was lost has made it
		grant, err := c.KeepAliveOnce(ctx, id)
		grant.TTL = min(asked, grant.TTL)
		if errors.Is(err, ErrLeaseNotFound) {
			return grant, err
		}
		return grant, r.fate(err)
	}
	return grant.at(r.sent), nil
}

// Revoke ends a lease and deletes its keys. It is safe to repeat; a lease that is already gone is ErrLeaseNotFound.
func (c *Client) Revoke(ctx context.Context, id LeaseID) error {
	r := &call{op: "revoke", path: "/lease/revoke", write: true, repeat: true, lease: true}
	r.settled = func(e *Error) bool { return errors.Is(e, ErrLeaseNotFound) }
	return unary(ctx, c, r, leaseRequest{ID: int64(id)}, headerOnly)
}

type leaseRequest struct {
	ID   int64 `json:"ID,string"`
	Keys bool  `json:"keys,omitempty"`
}

// KeepAliveOnce renews a lease once, and returns the time to live that the leader answered. The next leader may have a
// shorter one, so rely on no more than was asked for when the lease was granted. Returns ErrLeaseNotFound when the lease
// is gone. See [Client.KeepAlive] to renew it for ever.
func (c *Client) KeepAliveOnce(ctx context.Context, id LeaseID) (LeaseGrant, error) {
	var avoid *endpoint
	for {
		var out LeaseGrant
		r := c.renewal([]LeaseID{id}, func(g LeaseGrant) { out = g })
		r.avoid = avoid
		if err := c.do(ctx, r); err != nil {
			return LeaseGrant{}, err
		}
		switch {
		case out.ID != id:
			return LeaseGrant{}, &Error{Op: r.op, cause: fmt.Errorf("%w: the answer is about another lease", ErrProtocol)}
		case out.TTL > 0:
			return out.at(r.sent), nil
		case avoid != nil:
			return LeaseGrant{}, leaseGone(r.op)
		}
		avoid = r.served // a second opinion
		c.pauseAtTheOnly(ctx)
	}
}

// secondLook is the pause before a second opinion where there is nobody else to ask.
const secondLook = 50 * time.Millisecond

func (c *Client) pauseAtTheOnly(ctx context.Context) {
	if c.eps.size() == 1 {
		sleep(ctx, secondLook)
	}
}

// wholeRenewal is how many leases an answer on a kept-alive connection carries for sure. Above about ten, etcd was
// seen to answer 200 and leave some out; on a connection of its own, never.
const wholeRenewal = 8

// renewal renews many leases in one request. each is called for every lease that was answered, without Sent.
func (c *Client) renewal(ids []LeaseID, each func(LeaseGrant)) *call {
	r := &call{op: "keepalive", path: "/lease/keepalive", repeat: true, lease: true, lines: true, fresh: len(ids) > wholeRenewal}
	for _, id := range ids {
		r.body = append(r.body, `{"ID":"`...)
		r.body = strconv.AppendInt(r.body, int64(id), 10)
		r.body = append(r.body, "\"}\n"...)
	}
	r.answer = func(body []byte) (header etcdjson.Header, err error) {
		answered := 0
		for line := range bytes.Lines(body) {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			var answer struct {
				Result *struct {
					Header etcdjson.Header `json:"header"`
					ID     etcdjson.Int64  `json:"ID"`
					TTL    etcdjson.Int64  `json:"TTL"`
				} `json:"result"`
			}
			if err := json.Unmarshal(line, &answer); err != nil {
				return header, err
			}
			if answer.Result == nil {
				return header, lineError(line)
			}
			header = answer.Result.Header
			if err := whole(header, r); err != nil {
				return header, &Error{cause: err}
			}
			if err := c.saw(header, 0, false); err != nil { // another cluster knows nothing of this lease
				return header, &Error{cause: err}
			}
			each(LeaseGrant{ID: LeaseID(answer.Result.ID), TTL: lifetime(answer.Result.TTL)})
			answered++
		}
		if answered == 0 {
			return header, &Error{Code: CodeUnavailable, Message: "no answer to a renewal"}
		}
		return header, nil
	}
	return r
}

// lineError is the error that a line of a stream holds.
func lineError(line []byte) error {
	if code, message, ok := decodeError(line, http.StatusOK); ok {
		return (&Error{Code: code, Message: message}).explain()
	}
	return errors.New("neither a result nor an error")
}

// LeaseInfo answers TimeToLive.
type LeaseInfo struct {
	ID         LeaseID
	TTL        time.Duration // what is left
	GrantedTTL time.Duration // what it was made with
	Keys       []string      // the keys under it, if asked for
}

// TimeToLive tells how long a lease still lives, and with keys which keys hang on it. A lease that is gone is
// ErrLeaseNotFound.
func (c *Client) TimeToLive(ctx context.Context, id LeaseID, keys bool) (LeaseInfo, error) {
	type response struct {
		Header  etcdjson.Header  `json:"header"`
		TTL     etcdjson.Int64   `json:"TTL"`
		Granted etcdjson.Int64   `json:"grantedTTL"`
		Keys    []etcdjson.Bytes `json:"keys"`
	}
	info := LeaseInfo{ID: id}
	r := &call{op: "timetolive", path: "/lease/timetolive", repeat: true, lease: true}
	asking := leaseRequest{int64(id), keys}
	err := unary(ctx, c, r, asking, func(a *response) (etcdjson.Header, error) {
		if a.TTL < 0 {
			return a.Header, leaseGone("timetolive")
		}
		info.TTL, info.GrantedTTL = lifetime(a.TTL), lifetime(a.Granted)
		for _, k := range a.Keys {
			if name, ok := bytes.CutPrefix(k, []byte(c.cfg.Namespace)); ok {
				info.Keys = append(info.Keys, string(name))
			}
		}
		return a.Header, nil
	})
	if err != nil {
		return LeaseInfo{}, err
	}
	return info, nil
}

// leaseGone is the error that etcd leaves out where it answers a dead lease with an odd TTL.
func leaseGone(op string) *Error {
	return &Error{Op: op, Code: CodeNotFound, Message: "etcdserver: requested lease not found"}
}

// Leases lists the IDs of all leases of the cluster.
func (c *Client) Leases(ctx context.Context) ([]LeaseID, error) {
	type response struct {
		Header etcdjson.Header `json:"header"`
		Leases []struct {
			ID etcdjson.Int64 `json:"ID"`
		} `json:"leases"`
	}
	var ids []LeaseID
	r := &call{op: "leases", path: "/lease/leases", repeat: true}
	err := unary(ctx, c, r, struct{}{}, func(a *response) (etcdjson.Header, error) {
		for _, l := range a.Leases {
			ids = append(ids, LeaseID(l.ID))
		}
		return a.Header, nil
	})
	return ids, err
}
