package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/grace"
)

// BrokenPrefix is the prefix of the records of holds that were broken. They are not beside the
// hold's key, because members of other libraries would wait for them as for members.
const BrokenPrefix = "holdfast/broken/"

// BreakRetention is the time for which the record of a broken hold is kept.
const BreakRetention = 24 * time.Hour

// Broken is the record of a hold that was broken; see session.BrokenError.
type Broken struct {
	Key    string    `json:"key"`
	Fence  int64     `json:"fence"`
	Reason string    `json:"reason"`
	By     Info      `json:"by"`
	Holder *Info     `json:"holder,omitempty"`
	Time   time.Time `json:"time"`
}

func (b *Broken) String() string {
	return fmt.Sprintf("broken by %s at %s: %q", b.By, b.Time.Format(time.RFC3339), b.Reason)
}

// brokenKey returns the key of the record for a key "<name>/<member>".
func brokenKey(key string, fence int64) string {
	dir, _ := path.Split(key)
	return BrokenPrefix + dir + strconv.FormatInt(fence, 10)
}

// Breaker breaks holds on behalf of a process.
type Breaker struct {
	Client       *gateway.Client
	By           Info
	RecordPrefix string // of the session records
}

// SessionBreaker returns a breaker on behalf of a session, also after the session has ended.
func SessionBreaker(s *Session) Breaker { return Breaker{s.c, s.info, s.opt.RecordPrefix} }

// ProcessBreaker returns a breaker on behalf of a process that has no session.
func ProcessBreaker(c *gateway.Client, name, recordPrefix string) Breaker {
	return Breaker{c, newInfo(name, ""), recordPrefix}
}

// Break is documented at session.Break.
func (b Breaker) Break(ctx context.Context, key string, fence int64, reason string) error {
	switch {
	case fence <= 0: // a compare with 0 holds for a missing key
		return Invalid("%d is no fence", fence)
	case strings.TrimSpace(reason) == "":
		return Invalid("no reason to break a hold")
	}
	err := b.remove(ctx, Broken{
		Key: key, Fence: fence, Reason: reason, By: b.By,
		Time: time.Now().UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		return fmt.Errorf("session: break %s: %w", key, err)
	}
	return nil
}

// remove deletes the key and writes the record, in one transaction.
func (b Breaker) remove(ctx context.Context, record Broken) error {
	// With its value, without which etcd 3.7 omits the lease.
	held, err := b.Client.Get(ctx, record.Key)
	switch {
	case err != nil:
		return err
	case len(held.KVs) == 0 || held.KVs[0].CreateRevision != record.Fence:
		return ErrNotHeld
	}
	record.Holder = b.infoOf(ctx, held.KVs[0].Lease)
	txn := gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(record.Key, gateway.Equal, record.Fence)},
		Then: []gateway.Op{gateway.OpDelete(record.Key)},
	}
	lease := gateway.NewLeaseID()
	_, err = b.Client.Grant(ctx, lease, BreakRetention)
	switch {
	case errors.Is(err, gateway.ErrNoSpace): // a full database accepts a deletion only
	case errors.Is(err, gateway.ErrUncertain): // the lease, not the deletion
		Discard(ctx, b.Client, lease)
		return fmt.Errorf("no lease for the record: %w", err)
	case err != nil:
		return err
	default:
		value, _ := json.Marshal(record) // strings, numbers and times cannot fail
		put := gateway.OpPut(
			brokenKey(record.Key, record.Fence), value, gateway.WithLease(lease))
		txn.Then = append(txn.Then, put)
	}
	resp, err := b.Client.Txn(ctx, txn)
	if err == nil && !resp.Succeeded {
		err = ErrNotHeld
	}
	if err != nil && !errors.Is(err, gateway.ErrUncertain) {
		Discard(ctx, b.Client, lease) // there is no record
	}
	return err
}

// infoOf returns the content of a session's record, or nil.
func (b Breaker) infoOf(ctx context.Context, lease gateway.LeaseID) *Info {
	if lease == 0 {
		return nil
	}
	got, err := b.Client.Get(ctx, b.RecordPrefix+lease.String())
	var info Info
	if err != nil || len(got.KVs) == 0 || json.Unmarshal(got.KVs[0].Value, &info) != nil {
		return nil
	}
	return &info
}

// deletedError is the cause of the end of a hold whose key another client has deleted. A hold must
// end at once, so the record of the one that has broken it, if there is one, is read afterwards.
type deletedError struct {
	read   chan struct{} // closed when the record was read, or cannot be
	broken *Broken       // nil if there is no record; valid when read is closed
}

// keyDeleted returns the cause for a member whose key another client has deleted. It is an
// [ErrLost] with [ErrKeyDeleted]. errors.As for the public form of [Broken] waits until the record
// was read, for 1 s at most.
func (s *Session) keyDeleted(key string, fence int64) error {
	e := &deletedError{read: make(chan struct{})}
	began := s.Background(func(ctx context.Context) {
		defer close(e.read)
		ctx, cancel := context.WithTimeout(ctx, grace.Time)
		defer cancel()
		e.broken = s.readBroken(ctx, key, fence)
	})
	if !began {
		close(e.read)
	}
	return e
}

// KeyDeleted returns the error of a call whose member's key another client has deleted. It waits
// for the record of a [Breaker], until ctx ends.
func (s *Session) KeyDeleted(ctx context.Context, key string, fence int64) error {
	return awaitRecord(ctx, s.keyDeleted(key, fence))
}

func (s *Session) readBroken(ctx context.Context, key string, fence int64) *Broken {
	got, err := s.c.Get(ctx, brokenKey(key, fence))
	var b Broken
	if err != nil || len(got.KVs) == 0 || json.Unmarshal(got.KVs[0].Value, &b) != nil ||
		b.Key != key {
		return nil
	}
	return &b
}

func (e *deletedError) Error() string {
	text := lost(ErrKeyDeleted).Error()
	select {
	case <-e.read:
		if e.broken != nil {
			text += ": " + e.broken.String()
		}
	default:
	}
	return text
}

func (e *deletedError) Unwrap() []error { return []error{ErrLost, ErrKeyDeleted} }

// As waits for the record if target takes one.
func (e *deletedError) As(target any) bool {
	set := brokenTarget(target)
	if set == nil {
		return false
	}
	<-e.read
	if e.broken != nil {
		set(*e.broken)
	}
	return e.broken != nil
}

// notHeldError is an [ErrNotHeld] with the cause, whose text may not be complete yet.
type notHeldError struct{ cause error }

func (e *notHeldError) Error() string { return ErrNotHeld.Error() + ": " + e.cause.Error() }

func (e *notHeldError) Unwrap() []error { return []error{ErrNotHeld, e.cause} }

// awaitRecord waits until the text of err is complete, or ctx has ended. It returns err.
func awaitRecord(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*deletedError](err); ok {
		select {
		case <-e.read:
		case <-ctx.Done():
		}
	}
	return err
}
