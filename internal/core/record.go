package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-go/holdfast/gateway"
)

// Info identifies a session; see session.Info. The record contains it.
type Info struct {
	ID        string    `json:"id"` // unique to the session
	Name      string    `json:"name,omitempty"`
	Host      string    `json:"host,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	ParentKey string    `json:"within,omitempty"` // see session.Options
}

// record is the value of a session's record.
type record struct {
	Info
	TTL int64 `json:"ttl,omitempty"` // as requested, in seconds; no answer of etcd has it
}

// leastTTL is the shortest time to live that etcd grants. It is assumed if the record of an earlier
// version has none.
const leastTTL = time.Second

func encodeRecord(info Info, ttl time.Duration) []byte {
	// Strings, numbers and a time cannot fail.
	value, _ := json.Marshal(record{info, int64((ttl + time.Second - 1) / time.Second)})
	return value
}

// askedTTL returns the time to live that a session requested, from its record.
func askedTTL(value []byte) time.Duration {
	var r record
	if json.Unmarshal(value, &r) != nil || r.TTL <= 0 || r.TTL > int64(gateway.MaxTTL/time.Second) {
		return leastTTL
	}
	return time.Duration(r.TTL) * time.Second
}

// Info returns the part of the session's record that identifies it.
func (s *Session) Info() Info { return s.info }

// String is documented at session.Info.String.
func (i Info) String() string {
	name := i.Name
	if name == "" {
		name = i.ID
	}
	return fmt.Sprintf("%s (%s, pid %d)", name, i.Host, i.PID)
}

func newInfo(name, within string) Info {
	host, _ := os.Hostname() // may be empty: it is for people
	return Info{
		ID: uuid.NewString(), Name: name, Host: host, PID: os.Getpid(),
		Started: time.Now().UTC().Truncate(time.Millisecond), ParentKey: within,
	}
}

// createRecord writes the record and returns its revision, the first epoch. No other session can
// have written it, because the lease ID in its key is random.
func createRecord(
	ctx context.Context, c *gateway.Client, key string, value []byte, lease gateway.LeaseID,
) (int64, error) {
	txn := gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut(key, value, gateway.WithLease(lease))},
		Else: []gateway.Op{gateway.OpGet(key)},
	}
	resp, err := repeat(ctx, c, txn)
	switch {
	case err != nil:
		return 0, err
	case resp.Succeeded:
		return resp.Revision, nil
	case len(resp.Responses[0].Get.KVs) == 1: // written by a try whose answer was lost
		return resp.Responses[0].Get.KVs[0].ModRevision, nil
	default:
		return 0, fmt.Errorf("%w: the record exists and does not", gateway.ErrProtocol)
	}
}

// repeat applies a transaction, which may be applied several times, until the outcome is certain.
func repeat(ctx context.Context, c *gateway.Client, txn gateway.Txn) (*gateway.TxnResponse, error) {
	pause := newBackoff()
	for protocolErrors := 0; ; {
		resp, err := c.Txn(ctx, txn)
		if !errors.Is(err, gateway.ErrUncertain) || ctx.Err() != nil || fromElsewhere(err) ||
			errors.Is(err, gateway.ErrNoSpace) || protocolErrors == maxProtocolErrors {
			return resp, err
		}
		if isProtocolError(err) {
			protocolErrors++
		}
		wait(ctx, pause.NextBackOff())
	}
}

// Verify reads the session's record, and ends the session if the record is gone. A recipe calls it
// when a key of the session is gone, to find out whether the session is lost. It returns the error
// of the read, or of the session.
func (s *Session) Verify(ctx context.Context) error {
	for again := false; ; again = true {
		epoch := s.epoch.Load()
		resp, err := s.c.Get(ctx, s.record)
		switch {
		case err != nil && ctx.Err() != nil: // it may match anything, because it has ctx's cause
			return err
		case fromElsewhere(err):
			s.end(fmt.Errorf("%w: %w", ErrRevoked, err)) // earlier fences are void
		case err != nil:
			return err
		case !older(resp.KVs, epoch):
			s.recordPut(resp.KVs[0])
		case !again:
			continue // one answer does not end a session
		default:
			s.end(ErrRevoked)
		}
		return s.Err()
	}
}

// older reports whether the record is gone, or is from a cluster that was restored from a backup.
func older(record []gateway.KeyValue, epoch int64) bool {
	return len(record) == 0 || record[0].ModRevision < epoch
}

// fromElsewhere reports whether the answer was another cluster's, or one that was restored.
func fromElsewhere(err error) bool {
	return errors.Is(err, gateway.ErrClusterMismatch) ||
		errors.Is(err, gateway.ErrRevisionRegressed)
}

// RecordKey returns the key of the record of the session with a lease.
func RecordKey(s *Session, lease gateway.LeaseID) string {
	return s.opt.RecordPrefix + lease.String()
}

// SessionInfos is documented at session.Session.SessionInfos.
func (s *Session) SessionInfos(
	ctx context.Context, leases ...gateway.LeaseID,
) (map[gateway.LeaseID]Info, error) {
	keys := make([]string, len(leases))
	for i, id := range leases {
		keys[i] = RecordKey(s, id)
	}
	values, err := s.lookUp(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make(map[gateway.LeaseID]Info, len(leases))
	for i, id := range leases {
		var info Info
		if json.Unmarshal(values[i], &info) == nil {
			out[id] = info
		}
	}
	return out, nil
}

// lookUp reads keys and returns their values in the same order, nil for a key that does not exist.
func (s *Session) lookUp(ctx context.Context, keys []string) (values [][]byte, _ error) {
	for chunk := range slices.Chunk(keys, MaxOps) {
		var txn gateway.Txn
		for _, key := range chunk {
			txn.Then = append(txn.Then, gateway.OpGet(key))
		}
		resp, err := s.c.Txn(ctx, txn)
		if err != nil {
			return nil, fmt.Errorf("session: lookup: %w", err)
		}
		for i := range chunk {
			var value []byte
			for _, kv := range resp.Responses[i].Get.KVs {
				value = kv.Value
			}
			values = append(values, value)
		}
	}
	return values, nil
}
