package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
)

// Resume is documented at session.Resume.
func Resume(
	ctx context.Context, c *gateway.Client, lease gateway.LeaseID, opt Config,
) (*Session, error) {
	s, err := prepare(c, lease, opt)
	if err != nil {
		return nil, err
	}
	if err := s.resume(ctx); err != nil {
		return nil, fmt.Errorf("session: resume %s: %w", lease, err)
	}
	if err := s.Err(); err != nil { // Resume took longer than the time to live
		s.Orphan()
		return nil, err
	}
	s.opt.Logger.Info("session_resumed", "lease", s.lease, "ttl", s.grant.TTL)
	return s, nil
}

func (s *Session) resume(ctx context.Context) error {
	var err error
	if s.grant, err = s.c.KeepAliveOnce(ctx, s.lease); err != nil {
		return lostLease(ctx, err)
	}
	created, epoch, err := s.takeOver(ctx)
	if err != nil {
		return lostLease(ctx, err)
	}
	s.grant.TTL = min(s.grant.TTL, s.opt.TTL)
	s.born = epoch
	s.incarnation += "-" + strconv.FormatInt(epoch, 16)
	s.begin(created, epoch)
	return nil
}

// lostLease adds [ErrLost] to the error of a request if the lease has ended.
func lostLease(ctx context.Context, err error) error {
	if errors.Is(err, gateway.ErrLeaseNotFound) && ctx.Err() == nil { // else it may be ctx's cause
		return fmt.Errorf("%w: %w: %w", ErrLost, ErrRevoked, err)
	}
	return err
}

// takeOver replaces the value of the record by this process's. That changes the epoch, which makes
// all writes of earlier processes that are under way void.
//
// Receipts are deleted with it, because this process would take them for receipts of its own tries.
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
		case bytes.Equal(now.Value, s.value): // written by a try whose answer was lost
			return now.CreateRevision, now.ModRevision, nil
		case now.ModRevision <= was.ModRevision:
			return 0, 0, fmt.Errorf("%w: the record has changed and has not", gateway.ErrProtocol)
		case was.ModRevision > 0 && !bytes.Equal(now.Value, was.Value):
			return 0, 0, fmt.Errorf("%w: %w", ErrLost, ErrResumedElsewhere)
		}
		was = now // as first read, or as an earlier process that still runs has put it again
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

// recordPut reports whether the record is this process's and under the lease. Otherwise it ends the
// session, because the record would outlive the lease, and writes would be applied without a lease.
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

// deleteRecord deletes the record if it is this process's. ours reports whether this process may
// revoke the lease: without a record no other process can resume the session any more.
//
// Close does not call it if the session lived until then. So if another process has resumed the
// session, and the watch has not delivered that yet, Close revokes the lease. That can happen only
// if a process is resumed while it runs.
func (s *Session) deleteRecord(ctx context.Context) (ours bool, _ error) {
	cause := context.Cause(s.ctx) //nolint:contextcheck // it only reads why the session ended
	if errors.Is(cause, ErrResumedElsewhere) {
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

// OwnedByPredecessor returns compares that hold if an earlier process of the session has put the
// key under the lease, and this one has not put it since.
func (s *Session) OwnedByPredecessor(key string) []gateway.Cmp {
	return []gateway.Cmp{
		gateway.CmpLease(key, gateway.Equal, s.lease),
		gateway.CmpModRevision(key, gateway.Less, s.born),
	}
}

// Incarnation returns a name that no other session, and no other process of this session, uses: the
// lease in hexadecimal, followed by the epoch if the session was resumed.
func (s *Session) Incarnation() string { return s.incarnation }
