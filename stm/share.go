package stm

import (
	"context"
	"slices"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/merge"
	"github.com/holdfast-go/holdfast/session"
)

// Transactions of one session share requests: small reads that wait at the same time are sent
// together, and so are small commits. Each costs the server much less than with a request of its
// own.

// maxShared is the number of keys, read and written, up to which a transaction shares requests. A
// larger one would delay the others.
const maxShared = 8

// sharing is the transactions of a session that share requests, and the keys it remembers.
type sharing struct {
	reads  merge.Batcher[*reading]
	memory memory

	mu      sync.Mutex
	commits []*Tx // in requests that others may share, or waiting for those before
}

type sharingKey struct{}

// sharingOf returns the sharing of a session.
func sharingOf(s *session.Session) *sharing {
	c := core.Of(s)
	found := core.Local(c, sharingKey{}, func() any {
		sh := &sharing{}
		sh.reads = merge.Batcher[*reading]{
			Owner: c, Pick: pickReadings,
			Send: func(ctx context.Context, jobs []*merge.Job[*reading]) {
				sendReadings(ctx, s.Client(), jobs)
			},
		}
		return sh
	})
	return found.(*sharing) //nolint:forcetypeassert // nothing else is stored
}

// enter adds a commit, and returns once no earlier one is left that it must not share a request
// with. etcd evaluates the conditions of all commits in a request before it applies any. So if one
// writes a key that another reads, both could be applied, although each relies on a state that the
// other changes.
//
// Returns errConflict when an earlier one has changed a key that tx has read. leave must follow.
func (sh *sharing) enter(tx *Tx) error {
	sh.mu.Lock()
	tx.left = make(chan struct{})
	sh.commits = append(sh.commits, tx)
	sh.mu.Unlock()
	for other := sh.before(tx); other != nil; other = sh.before(tx) {
		core.Unexpect(core.Of(tx.session)) // the next request does not wait for tx
		select {
		case <-other.left:
		case <-tx.ctx.Done():
			return ctxerr.Of(tx.ctx)
		}
		if tx.outdated(other) {
			tx.overtaken = true
			return errConflict
		}
	}
	return nil
}

// before returns the first of the earlier commits that is in the way of tx, or nil.
func (sh *sharing) before(tx *Tx) *Tx {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, other := range sh.commits {
		switch {
		case other == tx:
			return nil
		case tx.changes(other) || other.changes(tx):
			return other
		}
	}
	return nil
}

// leave removes a commit.
func (sh *sharing) leave(tx *Tx) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := slices.Index(sh.commits, tx)
	sh.commits = slices.Delete(sh.commits, i, i+1)
	close(tx.left)
}

// outdated reports whether tx has read a key as it was before the other commit wrote it.
func (tx *Tx) outdated(other *Tx) bool {
	for key := range other.writes {
		kv, read := tx.reads.keys[key]
		if read && kv.ModRevision < other.applied && tx.level != ReadCommitted {
			return true
		}
	}
	return false
}

// changes reports whether tx writes a key that the other transaction reads or writes.
func (tx *Tx) changes(other *Tx) bool {
	for key := range tx.writes {
		_, written := other.writes[key]
		_, read := other.reads.keys[key]
		if written || read || other.reads.covers(key) {
			return true
		}
	}
	return false
}

// weight returns the share that a commit takes of a request, or 0 if it must not share one.
func (tx *Tx) weight(t gateway.Txn) int {
	if len(tx.reads.keys)+len(tx.reads.prefixes)+len(tx.writes) > maxShared {
		return 0
	}
	size := 0
	for key, w := range tx.writes {
		size += len(key) + len(w.value)
	}
	for key, kv := range tx.reads.keys { // Else reads them
		size += len(key) + len(kv.Value)
	}
	return max(len(t.If), len(t.Then), len(t.Else)) + 1 + size/core.WeightBytes // 1 for the receipt
}

// reading is the reads of one transaction.
type reading struct {
	ops  []gateway.Op
	resp *gateway.TxnResponse
}

// pickReadings returns the number of readings that fit in one request.
func pickReadings(waiting []*merge.Job[*reading]) (n int) {
	for ops := 0; n < len(waiting); n++ {
		if ops += len(waiting[n].V.ops); ops > core.MaxOps && n > 0 {
			break
		}
	}
	return n
}

// sendReadings reads for several transactions in one request. If etcd rejects that, for example
// because one of them reads a revision that was compacted, each is read alone.
func sendReadings(ctx context.Context, c *gateway.Client, jobs []*merge.Job[*reading]) {
	var t gateway.Txn
	for _, j := range jobs {
		t.Then = append(t.Then, j.V.ops...)
	}
	resp, err := c.Txn(ctx, t)
	if err != nil && len(jobs) > 1 {
		for i := range jobs {
			sendReadings(ctx, c, jobs[i:i+1])
		}
		return
	}
	for _, j := range jobs {
		if j.Err = err; err == nil {
			n := len(j.V.ops)
			j.V.resp = &gateway.TxnResponse{
				Header: resp.Header, Succeeded: resp.Succeeded, Responses: resp.Responses[:n:n],
			}
			resp.Responses = resp.Responses[n:]
		}
	}
}
