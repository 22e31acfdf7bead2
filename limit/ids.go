package limit

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// DefaultMaxBlock is the default of [IDOptions.MaxBlock].
const DefaultMaxBlock = 1000

// maxTake is the largest number of IDs of one call.
const maxTake = 1_000_000

// IDOptions configure [IDs]. nil means the zero value.
type IDOptions struct {
	// MaxBlock is the largest number of IDs that a process takes ahead, and so the largest gap that
	// it leaves. The first block is of one, and each block that lasts for less than a second
	// doubles the next one. With 1, only an ID whose call failed is left out. Default 1000.
	MaxBlock int64
}

// IDs are unique numbers from 1. They are safe for concurrent use.
type IDs struct {
	s    *session.Session
	name string
	max  int64

	turn  chan struct{} // guards the rest
	next  int64
	left  int64
	size  int64 // of the block
	taken time.Time
}

// NewIDs returns the IDs of a name, which all sessions share. It sends no request. Arguments that
// cannot be used are reported by the first call.
func NewIDs(s *session.Session, name string, opts *IDOptions) *IDs {
	ids := &IDs{s: s, name: name, max: DefaultMaxBlock, turn: make(chan struct{}, 1)}
	if opts != nil && opts.MaxBlock != 0 {
		ids.max = opts.MaxBlock
	}
	return ids
}

// Next returns an ID that no other call returns. Returns the errors of the package.
func (ids *IDs) Next(ctx context.Context) (int64, error) { return ids.Take(ctx, 1) }

// Take returns the first of n IDs in a row. n is at most a million. Returns the errors of the
// package.
func (ids *IDs) Take(ctx context.Context, n int64) (first int64, err error) {
	first, err = ids.take(ctx, n)
	if err != nil {
		return 0, fmt.Errorf("limit: IDs %q: %w", ids.name, err)
	}
	return first, nil
}

func (ids *IDs) take(ctx context.Context, n int64) (first int64, err error) {
	switch {
	case ids.max < 0:
		return 0, fmt.Errorf("%w: a negative MaxBlock", gateway.ErrInvalid)
	case n < 1 || n > maxTake:
		return 0, fmt.Errorf(
			"%w: %d IDs; from 1 to %d are possible", gateway.ErrInvalid, n, maxTake)
	}
	if err := core.Of(ids.s).CheckName(ids.name); err != nil {
		return 0, err
	}
	if err := ids.s.Err(); err != nil {
		return 0, err
	}
	select {
	case ids.turn <- struct{}{}:
		defer func() { <-ids.turn }()
	case <-ctx.Done():
		return 0, ctxerr.Of(ctx)
	}
	if ids.left < n {
		if err := ids.ask(ctx, n); err != nil {
			return 0, err
		}
	}
	first = ids.next
	ids.next += n
	ids.left -= n
	return first, nil
}

// ask takes a block of at least n IDs. If it begins where the last one ends, the rest of that is
// not lost.
func (ids *IDs) ask(ctx context.Context, n int64) error {
	size := max(1, ids.size/2)
	if time.Since(ids.taken) < time.Second {
		size = min(2*max(1, ids.size), ids.max)
	}
	key := ids.name + "//next"
	var first, more, kept int64
	_, err := stm.Do(ctx, ids.s, func(tx *stm.Tx) error {
		stored, err := readNumber(tx, key)
		if err != nil {
			return err
		}
		if first, kept = max(stored, 1), 0; first == ids.next+ids.left {
			kept = ids.left
		}
		more = max(n-kept, size)
		if first > math.MaxInt64-more {
			return fmt.Errorf("%w: the IDs are used up", gateway.ErrInvalid)
		}
		tx.Put(key, strconv.AppendInt(nil, first+more, 10))
		return nil
	}, nil)
	if err != nil {
		return err
	}
	ids.next, ids.left = first-kept, kept+more
	ids.size, ids.taken = size, time.Now()
	return nil
}
