package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
)

// Resume takes up a session whose process has ended without closing it: it crashed, was killed, or called
// [Session.Orphan]. lease is what [Session.Lease] was, which the process must have kept somewhere: its String, say, which
// [gateway.ParseLeaseID] reads. What the earlier life held goes on to exist under the lease; recipes can take it up, as
// election.Election.Resume does. What none of them takes up stays as long as the new session: [gateway.Client.TimeToLive]
// lists it.
//
// If the lease is gone, or has no session's record, it is [ErrLost], and [New] is what helps. So it is, with
// [ErrResumedElsewhere], if another process resumes the session at the same moment. Any other error changes nothing but that, if
// it is [gateway.ErrUncertain], the session may have been taken from whoever had it; the call may be repeated.
//
// The earlier process must be gone: two processes in one session is what nothing can make safe, since fences and guards
// are the same for both. One that is not gone after all cannot write any more as a session from this moment on, and ends
// with [ErrResumedElsewhere] as soon as it hears of it; if it is closed before that, the lease is revoked.
//
// Of opts the TTL does not count, the lease keeps its own, which is in the record. A record of an earlier version does
// not have it: the session is then trusted for no more than 1 s after each renewal, the least that it may have asked for.
// The RecordPrefix must be the same.
func Resume(ctx context.Context, c *gateway.Client, lease gateway.LeaseID, opt Config) (*Session, error) {
	s, err := prepare(c, lease, opt)
	if err != nil {
		return nil, err
	}
	if err := s.resume(ctx); err != nil {
		return nil, fmt.Errorf("session: resume %s: %w", lease, err)
	}
	if err := s.Err(); err != nil { // Resume was slower than the lease is long
		s.Orphan()
		return nil, err
	}
	s.opt.Logger.Info("session_resumed", "lease", s.lease, "ttl", s.grant.TTL)
	return s, nil
}

func (s *Session) resume(ctx context.Context) error {
	var err error
	if s.grant, err = s.c.KeepAliveOnce(ctx, s.lease); err != nil {
		return lostLease(err)
	}
	created, epoch, err := s.takeOver(ctx)
	if err != nil {
		return lostLease(err)
	}
	s.grant.TTL = min(s.grant.TTL, s.opt.TTL)
	s.born = epoch
	s.incarnation += "-" + strconv.FormatInt(epoch, 16)
	s.begin(created, epoch)
	return nil
}

func lostLease(err error) error {
	if errors.Is(err, gateway.ErrLeaseNotFound) {
		return fmt.Errorf("%w: %w: %w", ErrLost, ErrRevoked, err)
	}
	return err
}

// takeOver makes the record this life's. That moves the epoch, which makes all that is under way of earlier lives void.
//
// Receipts are deleted along with it: to this life's transactions they would tell of tries that were none of theirs.
func (s *Session) takeOver(ctx context.Context) (created, epoch int64, _ error) {
	got, err := s.c.Get(ctx, s.record)
	if err != nil {
		return 0, 0, err
	}
	var was gateway.KeyValue
	pause := newBackoff()
	for found := got.KVs; ; wait(ctx, pause.NextBackOff()) {
		if len(found) == 0 {
			return 0, 0, fmt.Errorf("%w: %w: there is no %s", ErrLost, ErrRevoked, s.record)
		}
		now := found[0]
		if was.ModRevision == 0 {
			s.opt.TTL = askedTTL(now.Value)
			s.value = encodeRecord(s.info, s.opt.TTL)
		}
		switch {
		case bytes.Equal(now.Value, s.value): // by a try whose answer was lost
			return now.CreateRevision, now.ModRevision, nil
		case now.ModRevision <= was.ModRevision:
			return 0, 0, fmt.Errorf("%w: the record has changed and has not", gateway.ErrProtocol)
		case was.ModRevision > 0 && !bytes.Equal(now.Value, was.Value):
			return 0, 0, fmt.Errorf("%w: %w", ErrLost, ErrResumedElsewhere)
		}
		was = now // as read first, or put again as it was, by an earlier life that is still there
		resp, err := repeat(ctx, s.c, gateway.Txn{
			If: []gateway.Cmp{gateway.CmpModRevision(s.record, gateway.Equal, was.ModRevision)},
			Then: []gateway.Op{
				gateway.OpPut(s.record, s.value, gateway.WithLease(s.lease)),
				gateway.OpDelete(s.record+"/", gateway.Prefix()),
			},
			Else: []gateway.Op{gateway.OpGet(s.record)},
		})
		switch {
		case err != nil:
			return 0, 0, err
		case resp.Succeeded:
			return was.CreateRevision, resp.Revision, nil
		}
		found = resp.Responses[0].Get.KVs
	}
}

// recordPut looks at the record, and ends the session if it is that of another life, or no longer
// under the lease: then it would outlive the lease, and writes would be applied without.
func (s *Session) recordPut(kv gateway.KeyValue) (ours bool) {
	switch {
	case !bytes.Equal(kv.Value, s.value):
		s.end(ErrResumedElsewhere)
	case kv.Lease != s.lease:
		s.end(ErrRevoked)
	default:
		return true
	}
	return false
}

// deleteRecord takes the record away, if it is this life's, and tells whether the lease is this life's to revoke: without a
// record nobody can resume the session any more.
//
// Close does without where the session lived until then. That leaves the moment between another's takeover and the word of
// it, in which a Close frees what it was asked to free; it costs nothing where no process is resumed beside a living one.
func (s *Session) deleteRecord(ctx context.Context) (ours bool, _ error) {
	if errors.Is(context.Cause(s.ctx), ErrResumedElsewhere) { //nolint:contextcheck // it only reads why the session ended
		return false, nil
	}
	resp, err := repeat(ctx, s.c, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpValue(s.record, gateway.Equal, s.value)},
		Then: []gateway.Op{gateway.OpDelete(s.record)},
		Else: []gateway.Op{gateway.OpGet(s.record, gateway.KeysOnly())},
	})
	if err != nil {
		return false, err
	}
	return resp.Succeeded || len(resp.Responses[0].Get.KVs) == 0, nil
}

// OwnedByPredecessor compares that a key is one that an earlier life has put under the lease.
func (s *Session) OwnedByPredecessor(key string) []gateway.Cmp {
	return []gateway.Cmp{
		gateway.CmpLease(key, gateway.Equal, s.lease), gateway.CmpModRevision(key, gateway.Less, s.born),
	}
}

// Incarnation is what no other session, and no other life of this one, puts into its names: the lease in hexadecimal, with the
// epoch behind it if the session was resumed.
func (s *Session) Incarnation() string { return s.incarnation }
