package stm

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// commit applies the writes if no other client has changed the reads. After a conflict it returns
// errConflict, and sets next if the answer has the reads of the next attempt.
func (tx *Tx) commit() (int64, error) {
	cmps := tx.compares()
	ahead := tx.wants()
	switch {
	case len(cmps) > MaxOps || ahead.len() > MaxOps:
		return 0, tooLarge("%d keys and prefixes read", max(len(cmps), ahead.len()))
	case len(tx.writes) > MaxOps:
		return 0, tooLarge("%d keys written", len(tx.writes))
	case len(tx.writes) == 0 && !tx.recalled && (tx.snapshot() || len(cmps) <= 1):
		return tx.revision, nil // the reads are of one revision
	}
	t := gateway.Txn{If: cmps, Else: ahead.ops()}
	for _, key := range slices.Sorted(maps.Keys(tx.writes)) {
		t.Then = append(t.Then, tx.writes[key].op)
	}
	resp, err := tx.apply(t)
	switch {
	case errors.Is(err, errConflict):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("stm: commit: %w", err)
	case resp.Succeeded:
		return resp.Revision, nil
	case len(resp.Responses) == ahead.len(): // else the answer was lost
		tx.next = newTx(tx.ctx, tx.session, tx.level)
		tx.next.take(ahead, resp)
	}
	return 0, errConflict
}

// apply sends the commit. Else only reads, as TxnFlat requires.
func (tx *Tx) apply(t gateway.Txn) (*gateway.TxnResponse, error) {
	if len(tx.writes) == 0 {
		return tx.readAlone(tx.ctx, t) // it needs no receipt
	}
	weight := tx.weight(t)
	if weight > 0 {
		sh := sharingOf(tx.session)
		defer sh.leave(tx)
		if err := sh.enter(tx); err != nil {
			return nil, err
		}
	}
	resp, err := core.Of(tx.session).TxnFlat(tx.ctx, t, weight)
	if err == nil && resp.Succeeded {
		tx.applied = resp.Revision
		tx.remember(tx.applied) // before another transaction recalls the keys
	}
	return resp, err
}

// compares returns the conditions of the commit.
func (tx *Tx) compares() (cmps []gateway.Cmp) {
	if tx.level == ReadCommitted {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(tx.reads.keys)) {
		cmps = append(cmps,
			gateway.CmpModRevision(key, gateway.Equal, tx.reads.keys[key].ModRevision))
	}
	since := tx.revision
	if tx.recalled && (since == 0 || tx.oldest < since) {
		since = tx.oldest
	}
	if !tx.snapshot() || since == 0 {
		return cmps
	}
	for _, prefix := range slices.Sorted(maps.Keys(tx.reads.prefixes)) {
		// No key was put there. The compares of the keys show that none was deleted.
		cmps = append(cmps,
			gateway.CmpModRevision(prefix, gateway.Less, tx.revision+1).Prefix())
	}
	for _, key := range slices.Sorted(maps.Keys(tx.writes)) {
		_, read := tx.reads.keys[key]
		if tx.level == SerializableSnapshot && !read && !tx.reads.covers(key) {
			cmps = append(cmps, gateway.CmpModRevision(key, gateway.Less, since+1))
		}
	}
	return cmps
}
