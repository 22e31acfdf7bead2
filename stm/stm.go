package stm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/session"
)

// Isolation says which changes of others end an attempt of a transaction.
type Isolation int

const (
	// Serializable transactions are applied as if one ran after the other, in the order of their
	// revisions. All reads of an attempt are of one revision. The attempt is repeated when a key,
	// or the set of keys below a prefix, that it has read has changed before its commit.
	Serializable Isolation = iota
	// SerializableSnapshot is Serializable, and the attempt is also repeated when a key that it
	// writes without having read it has changed since its first read.
	SerializableSnapshot
	// RepeatableReads returns the same value each time that an attempt reads a key. The attempt is
	// repeated when a key that it has read has changed. Its reads may be of different revisions,
	// and keys that appear below a prefix that it has read do not repeat it.
	RepeatableReads
	// ReadCommitted returns committed values. Nothing is compared at the commit.
	ReadCommitted
)

// MaxOps is the largest number of keys and prefixes that a transaction reads, and of keys that it
// writes. The keys below a prefix count.
const MaxOps = 100

// ErrTooLarge is returned when a transaction exceeds [MaxOps]. The error also matches
// [gateway.ErrInvalid].
var ErrTooLarge = errors.New("transaction too large")

// Options configure a transaction. nil means the zero value.
type Options struct {
	// Isolation is the isolation of the transaction. Default [Serializable].
	Isolation Isolation
	// Prefetch are keys that the first attempt reads in one request before it calls the function.
	// Later attempts read the keys of the attempt before in one request.
	Prefetch []string
	// Cache lets an attempt start with the values that the last transactions of the session with
	// Cache have read or written, so that a transaction on keys which no other client changes sends
	// one request, its commit. The commit finds out whether a value is old, at any isolation but
	// [ReadCommitted], which does not use Cache: then the function is called again with values that
	// were read. If another transaction of the session was faster, the function is called again
	// with the values that this one has written. The function may see values that never existed at
	// one revision. It must end nevertheless. If it fails or panics then, it is called again. The
	// session remembers up to 10,000 keys with values of up to 4 KiB.
	Cache bool
}

// Do calls fn, and applies the writes that fn made on tx in one transaction. If others have changed
// keys that fn has read, Do calls fn again, after a pause that grows to 100 ms, until ctx ends. So
// fn should have no effects besides those on tx. Do returns the revision of the transaction, or of
// the reads if there were no writes.
//
// Returns the error of fn when fn fails: then nothing was applied. If fn panics, nothing was
// applied, and the panic reaches the caller. Returns [gateway.ErrUncertain] and the error of ctx
// when ctx ends while the outcome is unknown, and the other errors of the package. After any error
// but ErrUncertain nothing was applied.
func Do(
	ctx context.Context, s *session.Session, fn func(tx *Tx) error, opts *Options,
) (revision int64, err error) {
	var opt Options
	if opts != nil {
		opt = *opts
	}
	if opt.Isolation < Serializable || opt.Isolation > ReadCommitted {
		return 0, fmt.Errorf("stm: %w: isolation %d", gateway.ErrInvalid, opt.Isolation)
	}
	if s == nil {
		return 0, fmt.Errorf("stm: %w: no session", gateway.ErrInvalid)
	}
	ahead := wants{keys: opt.Prefetch}
	var remembered *memory
	if opt.Cache && opt.Isolation != ReadCommitted {
		remembered = &sharingOf(s).memory
	}
	var next *Tx
	recalls := remembered != nil
	for conflicts := 0; ; conflicts++ {
		tx := next
		if tx == nil {
			tx = newTx(ctx, s, opt.Isolation)
			tx.recalls = recalls
		}
		tx.memory = remembered
		if next == nil {
			tx.prefetch(ahead)
		}
		revision, err = tx.attempt(fn)
		if !errors.Is(err, errConflict) {
			return revision, err
		}
		ahead, next = tx.wants(), tx.next
		if recalls = tx.overtaken && remembered != nil; recalls {
			continue // the session remembers the keys as the other transaction has left them
		}
		tx.forget()
		if conflicts > 0 || next == nil {
			wait(ctx, conflicts)
			next = nil // it is old by now
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("stm: %w", ctxerr.Of(ctx))
		}
	}
}

// wait waits before another attempt, for a random time, so that transactions that have met do not
// meet again.
func wait(ctx context.Context, conflicts int) {
	t := time.NewTimer(rand.N(min(time.Millisecond<<min(conflicts, 10), 100*time.Millisecond)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// errConflict ends an attempt that is to be repeated.
var errConflict = errors.New("conflict")

// attempt calls fn once, and commits its writes. It returns errConflict if fn has failed, perhaps
// because the session remembered an old value.
func (tx *Tx) attempt(fn func(tx *Tx) error) (revision int64, err error) {
	defer func() {
		tx.ended = true // also if fn panics
		if tx.recalled && recover() != nil {
			revision, err = 0, errConflict
		}
	}()
	if tx.err == nil {
		err = fn(tx)
	}
	switch {
	case errors.Is(tx.err, gateway.ErrCompacted): // the attempt lasted too long
		return 0, errConflict
	case err == nil && tx.err != nil:
		return 0, tx.err
	case err == nil:
		revision, err = tx.commit()
		if err == nil && tx.applied == 0 {
			tx.remember(revision)
		}
		if !errors.Is(err, gateway.ErrInvalid) {
			return revision, err
		}
	}
	if tx.recalled {
		return 0, errConflict
	}
	return 0, err
}
