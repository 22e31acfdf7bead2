package stm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// wants are keys and prefixes to be read together.
type wants struct{ keys, prefixes []string }

func (w wants) len() int { return len(w.keys) + len(w.prefixes) }

// ops returns the reads.
func (w wants) ops(opts ...gateway.Option) []gateway.Op {
	var ops []gateway.Op
	for _, key := range w.keys {
		ops = append(ops, gateway.OpGet(key, opts...))
	}
	for _, prefix := range w.prefixes {
		ops = append(ops, gateway.OpGet(prefix, slices.Concat(opts, []gateway.Option{
			gateway.Prefix(), gateway.Limit(MaxOps + 1),
		})...))
	}
	return ops
}

// wants returns the reads of the function, for the next attempt. Keys below a prefix are read with
// it.
func (tx *Tx) wants() wants {
	w := wants{prefixes: slices.Sorted(maps.Keys(tx.reads.prefixes))}
	for _, key := range slices.Sorted(maps.Keys(tx.reads.keys)) {
		if !tx.reads.covers(key) {
			w.keys = append(w.keys, key)
		}
	}
	return w
}

// covers reports whether a key is below a prefix of the set.
func (s *set) covers(key string) bool {
	for prefix := range s.prefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// snapshot reports whether all reads are of one revision.
func (tx *Tx) snapshot() bool {
	return tx.level == Serializable || tx.level == SerializableSnapshot
}

// prefetch reads ahead, in one request, if there are keys that the session does not remember.
func (tx *Tx) prefetch(w wants) {
	w.keys = tx.recall(w.keys)
	var at []gateway.Option
	if tx.snapshot() && tx.revision > 0 {
		at = append(at, gateway.AtRevision(tx.revision))
	}
	ops := w.ops(at...)
	switch {
	case len(ops) == 0 || tx.err != nil:
		return
	case len(ops) > MaxOps:
		tx.err = tooLarge("%d reads", len(ops))
		return
	}
	resp, err := tx.readAll(w, ops)
	if err != nil {
		tx.err = fmt.Errorf("stm: read: %w", err)
		return
	}
	tx.take(w, resp)
}

// readAll reads in one request, which it shares with others if there are few keys.
func (tx *Tx) readAll(w wants, ops []gateway.Op) (*gateway.TxnResponse, error) {
	if len(w.prefixes) > 0 || len(w.keys) > maxShared {
		return tx.readAlone(tx.ctx, gateway.Txn{Then: ops})
	}
	r := &reading{ops: ops}
	err := sharingOf(tx.session).reads.Do(tx.ctx, r)
	switch ended := tx.session.Err(); { // nothing is uncertain about a read
	case err != nil && tx.ctx.Err() != nil:
		err = ctxerr.Of(tx.ctx)
	case err != nil && ended != nil:
		err = ended
	}
	return r.resp, err
}

// readAlone sends a transaction that only reads, and ends with the session as shared reads do.
func (tx *Tx) readAlone(
	ctx context.Context, t gateway.Txn,
) (*gateway.TxnResponse, error) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(tx.session.Context(), cancel)() //nolint:contextcheck // its own life
	resp, err := tx.client.Txn(reading, t)
	if ended := tx.session.Err(); err != nil && ended != nil && ctx.Err() == nil {
		err = ended
	}
	return resp, err
}

func tooLarge(format string, n int) error {
	return fmt.Errorf("stm: %w: %w: "+format+"; %d are possible",
		gateway.ErrInvalid, ErrTooLarge, n, MaxOps)
}

// take adds the answers to w to the keys that were read ahead.
func (tx *Tx) take(w wants, resp *gateway.TxnResponse) {
	if tx.revision == 0 {
		tx.revision = resp.Revision
	}
	for i, key := range w.keys {
		tx.ahead.keys[key] = gateway.KeyValue{Key: key}
		for _, kv := range resp.Responses[i].Get.KVs {
			tx.ahead.keys[key] = kv
		}
	}
	for i, prefix := range w.prefixes {
		found := resp.Responses[len(w.keys)+i].Get
		if len(found.KVs) > MaxOps {
			tx.err = tooLarge("%d keys below a prefix", int(found.Count))
			return
		}
		for _, kv := range found.KVs {
			tx.ahead.keys[kv.Key] = kv
		}
		tx.ahead.prefixes[prefix] = true
	}
}

// read returns a key as the function sees it in etcd.
func (tx *Tx) read(key string) (gateway.KeyValue, error) {
	if tx.ended {
		return gateway.KeyValue{}, errEnded
	}
	if kv, ok := tx.reads.keys[key]; ok || tx.snapshot() && tx.reads.covers(key) {
		return kv, nil
	}
	kv, ok := tx.ahead.keys[key]
	if !ok && (!tx.snapshot() || !tx.ahead.covers(key)) {
		tx.prefetch(wants{keys: []string{key}})
		kv = tx.ahead.keys[key]
	}
	if tx.err != nil {
		return gateway.KeyValue{}, tx.err
	}
	kv.Key = key
	tx.reads.keys[key] = kv
	return kv, nil
}

// readPrefix reads the keys below a prefix. Those that the function has read before stay the same.
func (tx *Tx) readPrefix(prefix string) error {
	switch {
	case tx.ended:
		return errEnded
	case tx.reads.prefixes[prefix]:
		return nil
	case !tx.ahead.prefixes[prefix]:
		tx.prefetch(wants{prefixes: []string{prefix}})
	}
	if tx.err != nil {
		return tx.err
	}
	for key, kv := range tx.ahead.keys {
		if _, known := tx.reads.keys[key]; !known && strings.HasPrefix(key, prefix) &&
			kv.ModRevision > 0 {
			tx.reads.keys[key] = kv
		}
	}
	tx.reads.prefixes[prefix] = true
	return nil
}
