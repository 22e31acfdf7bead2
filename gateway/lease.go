package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
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

// ParseLeaseID is the inverse of [LeaseID.String], for an ID that was stored. Returns ErrInvalid
// when the text is not a lease ID.
func ParseLeaseID(s string) (LeaseID, error) {
	id, err := strconv.ParseUint(s, 16, 64)
	if err != nil || id == 0 {
		return 0, invalid("parse lease", "%q is no lease ID in hexadecimal", clean(s))
	}
	return LeaseID(id), nil
}

// LogValue returns the ID as String formats it.
func (id LeaseID) LogValue() slog.Value { return slog.StringValue(id.String()) }

// NewLeaseID returns a random ID that cannot be guessed, because the ID is all that is needed to
// revoke a lease.
func NewLeaseID() LeaseID {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := LeaseID(binary.BigEndian.Uint64(b[:]) >> 1); id != 0 {
			return id
		}
	}
}

// MaxTTL is the longest time to live that etcd accepts.
const MaxTTL = 9_000_000_000 * time.Second

// LeaseGrant is the state of a lease as one answer reported it. A TTL of 0 says that the lease does
// not exist. [Client.Grant] and [Client.KeepAlive] report at most the time to live that was
// requested, so the lease lives at least until Sent + TTL.
type LeaseGrant struct {
	ID   LeaseID
	TTL  time.Duration
	Sent time.Time // when the answered request was sent
	sent clock.Instant
}

// Age returns the time since the request was sent. It includes time in which the machine slept:
// from the kernel on Linux, elsewhere from the wall clock if that advanced more than the monotonic
// one.
func (g LeaseGrant) Age() time.Duration { return g.age(clock.Now()) }

func (g LeaseGrant) age(now clock.Instant) time.Duration {
	if g.sent.Time == g.Sent { //nolint:staticcheck // the very same reading
		return clock.Elapsed(g.sent, now)
	}
	return clock.Elapsed(clock.At(g.Sent), now) // not from an answer
}

// at returns the grant with the time of its request.
func (g LeaseGrant) at(sent clock.Instant) LeaseGrant {
	g.Sent, g.sent = sent.Time, sent
	return g
}

// seconds rounds a duration up to etcd's unit.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// lifetime reads etcd's unit. Numbers beyond MaxTTL must not overflow to "gone".
func lifetime(s etcdjson.Int64) time.Duration {
	return time.Duration(min(max(s, -1), etcdjson.Int64(MaxTTL/time.Second))) * time.Second
}

// Grant creates a lease with the given time to live, rounded up to whole seconds. With an id of 0 a
// random one is chosen. It may be repeated, because the ID shows whether an unanswered attempt was
// applied, and is retried at other endpoints until ctx ends. Returns ErrInvalid when ttl is not
// positive or above [MaxTTL], ErrUncertain when ctx ends after an attempt may have been applied,
// and an [*Error] of CodeFailedPrecondition when a lease with the id exists.
//
// Each member of etcd raises a time to live to one and a half times its own election timeout, and
// answers its own number. The lease lives by the number of the current leader, and no member's is
// below the requested time. So the TTL that Grant returns is the requested time, or the answer if
// that is less.
func (c *Client) Grant(ctx context.Context, id LeaseID, ttl time.Duration) (LeaseGrant, error) {
	if ttl <= 0 || ttl > MaxTTL {
		return LeaseGrant{}, invalid("grant",
			"a time to live of %v is not between 1s and %v", ttl, MaxTTL)
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
	case existed: // an attempt whose answer was lost has created it
		grant, err := c.KeepAliveOnce(ctx, id)
		grant.TTL = min(asked, grant.TTL)
		if errors.Is(err, ErrLeaseNotFound) {
			return grant, err
		}
		return grant, r.fate(err)
	}
	return grant.at(r.sent), nil
}

// Revoke ends a lease and deletes its keys. It may be repeated, and is retried at other endpoints
// until ctx ends. Returns ErrLeaseNotFound when the lease is gone already, and ErrUncertain when
// ctx ends after an attempt may have been applied.
func (c *Client) Revoke(ctx context.Context, id LeaseID) error {
	r := &call{op: "revoke", path: "/lease/revoke", write: true, repeat: true, lease: true}
	r.settled = func(e *Error) bool { return errors.Is(e, ErrLeaseNotFound) }
	return unary(ctx, c, r, leaseRequest{ID: int64(id)}, headerOnly)
}

type leaseRequest struct {
	ID   int64 `json:"ID,string"`
	Keys bool  `json:"keys,omitempty"`
}

// KeepAliveOnce renews a lease once, and returns the time to live that the leader answered. The
// next leader may answer a shorter one, so rely on no more than was requested at the grant. It is
// retried at other endpoints until ctx ends. Returns ErrLeaseNotFound when two answers say that the
// lease is gone. See [Client.KeepAlive] to renew it continually.
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
			err := fmt.Errorf("%w: the answer is about another lease", ErrProtocol)
			return LeaseGrant{}, &Error{Op: r.op, cause: err}
		case out.TTL > 0:
			return out.at(r.sent), nil
		case avoid != nil:
			return LeaseGrant{}, leaseGone(r.op)
		}
		avoid = r.served // ask another endpoint
		c.pauseAtTheOnly(ctx)
	}
}

// secondLook is the pause before the second request when there is only one endpoint.
const secondLook = 50 * time.Millisecond

func (c *Client) pauseAtTheOnly(ctx context.Context) {
	if c.eps.size() == 1 {
		sleep(ctx, secondLook)
	}
}

// wholeRenewal is how many leases an answer on a kept-alive connection always carries. Above about
// ten, etcd was seen to answer 200 and leave some out; on a new connection, never.
const wholeRenewal = 8

// renewal renews many leases in one request. each is called for every lease that was answered,
// without Sent.
func (c *Client) renewal(ids []LeaseID, each func(LeaseGrant)) *call {
	r := &call{
		op: "keepalive", path: "/lease/keepalive", repeat: true, lease: true, lines: true,
		fresh: len(ids) > wholeRenewal,
	}
	if r.fresh {
		r.gather = time.Duration(len(ids)) * renewalTime
	}
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
			var answer etcdjson.KeepAliveAnswer
			d := etcdjson.NewReader(line, 0)
			ok := d.KeepAlive(&answer)
			if err := d.End(); err != nil {
				return header, err
			}
			if !ok {
				return header, lineError(line)
			}
			header = answer.Header
			if err := whole(header, r); err != nil {
				return header, &Error{cause: err}
			}
			// Another cluster knows nothing of this lease.
			if err := c.saw(header, 0, false); err != nil {
				return header, &Error{cause: err}
			}
			each(LeaseGrant{ID: LeaseID(answer.ID), TTL: lifetime(etcdjson.Int64(answer.TTL))})
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

// LeaseInfo is the state of a lease on the server.
type LeaseInfo struct {
	ID         LeaseID
	TTL        time.Duration // the remaining time
	GrantedTTL time.Duration // the time it was granted with
	Keys       []string      // the keys under it, if requested
}

// TimeToLive returns the remaining time of a lease and, if keys is true, the keys under it. It is
// retried at other endpoints until ctx ends. Returns ErrLeaseNotFound when the lease is gone, and
// ErrPermissionDenied when auth is on and the user may not read one of the keys that it would list.
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

// leaseGone is the error that etcd omits when it answers a dead lease with an odd TTL.
func leaseGone(op string) *Error {
	return &Error{Op: op, Code: CodeNotFound, Message: "etcdserver: requested lease not found"}
}

// Leases returns the IDs of all leases of the cluster. It is retried at other endpoints until ctx
// ends. Returns ErrPermissionDenied when auth is on and a lease has a key that the user may not
// read.
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
