package stm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Tx is one attempt of a transaction. It belongs to the goroutine and to the call of the function
// that received it, and is not safe for concurrent use.
type Tx struct {
	ctx     context.Context //nolint:containedctx // of the call of Do
	session *session.Session
	client  *gateway.Client
	level   Isolation

	revision int64 // of the first read, and of all if the level reads a snapshot; 0 before it
	reads    set   // by the function
	ahead    set   // read, but not by the function yet
	writes   map[string]write
	err      error // of a read; the attempt cannot be committed
	ended    bool
	next     *Tx // after a conflict, the next attempt, if the commit has read ahead for it

	memory   *memory // nil without Options.Cache
	recalls  bool    // keys may be taken from memory
	recalled bool    // some were
	// overtaken: another transaction of the session has changed a key that was read.
	overtaken bool
	oldest    int64 // the revision of the oldest of them

	left    chan struct{} // closed when a commit that shares requests has ended
	applied int64         // the revision of that commit, or 0
}

// set is keys and prefixes that were read.
type set struct {
	keys     map[string]gateway.KeyValue // ModRevision is 0 if the key does not exist
	prefixes map[string]bool
}

// write is the last write of a key.
type write struct {
	op      gateway.Op
	value   []byte
	deleted bool
	partial bool // the value may not have changed, see gateway.IgnoreValue
}

// errEnded is returned by the methods of a Tx after its attempt.
var errEnded = fmt.Errorf("stm: %w: the attempt has ended", gateway.ErrInvalid)

func newSet() set { return set{map[string]gateway.KeyValue{}, map[string]bool{}} }

func newTx(ctx context.Context, s *session.Session, level Isolation) *Tx {
	return &Tx{
		ctx: ctx, session: s, client: s.Client(), level: level,
		reads: newSet(), ahead: newSet(), writes: map[string]write{},
	}
}

// Get returns the value of a key as the transaction has written it, or else as it is in etcd. It is
// nil if the key does not exist, and not nil if it is empty. It must not be modified.
//
// Returns the error of the read, which also ends the attempt: Do returns it, or calls the function
// again, also if the function ignores it.
func (tx *Tx) Get(key string) ([]byte, error) {
	if w, ok := tx.writes[key]; ok && !tx.ended {
		return w.value, nil
	}
	kv, err := tx.read(key)
	if err != nil || kv.ModRevision == 0 {
		return nil, err
	}
	return filled(kv.Value), nil
}

// filled returns a value that is not nil.
func filled(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// Revision returns the revision that last changed a key in etcd, or 0 if it does not exist there.
// Writes of the transaction do not change it. Errors are as for [Tx.Get].
func (tx *Tx) Revision(key string) (int64, error) {
	kv, err := tx.read(key)
	return kv.ModRevision, err
}

// Prefix returns the keys that begin with prefix, in order, with the writes of the transaction. A
// key that the transaction has put has only Key and Value. Values must not be modified.
//
// Returns [ErrTooLarge] when there are more than [MaxOps] keys in etcd, and errors as for [Tx.Get].
func (tx *Tx) Prefix(prefix string) ([]gateway.KeyValue, error) {
	if err := tx.readPrefix(prefix); err != nil {
		return nil, err
	}
	merged := map[string]gateway.KeyValue{}
	for key, kv := range tx.reads.keys {
		if strings.HasPrefix(key, prefix) && kv.ModRevision > 0 {
			merged[key] = kv
		}
	}
	for key, w := range tx.writes {
		switch {
		case !strings.HasPrefix(key, prefix):
		case w.deleted:
			delete(merged, key)
		default:
			merged[key] = gateway.KeyValue{Key: key, Value: w.value}
		}
	}
	return slices.SortedFunc(maps.Values(merged), func(a, b gateway.KeyValue) int {
		return cmp.Compare(a.Key, b.Key)
	}), nil
}

// Put writes a key with the transaction. The value is copied. It takes the
// options of [gateway.Client.Put], such as [gateway.WithLease]; Do returns [gateway.ErrInvalid] for
// others.
func (tx *Tx) Put(key string, value []byte, opts ...gateway.Option) {
	value = append([]byte{}, value...)
	tx.writes[key] = write{
		op: gateway.OpPut(key, value, opts...), value: value,
		partial: len(opts) > 0 && len(value) == 0,
	}
}

// Delete deletes a key with the transaction, if it exists.
func (tx *Tx) Delete(key string) {
	tx.writes[key] = write{op: gateway.OpDelete(key), deleted: true}
}
