package limit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

func (l *Limiter) bucketKey() string { return l.name + "//bucket" }

// keys returns the keys that each transaction reads.
func (l *Limiter) keys() []string {
	if l.key == "" {
		return []string{l.bucketKey()}
	}
	return []string{l.bucketKey(), l.key}
}

// read returns the bucket, which is full if it does not exist, and the size of the block of this
// limiter as etcd has it.
func (l *Limiter) read(tx *stm.Tx) (b bucket, own int64, err error) {
	value, err := tx.Get(l.bucketKey())
	switch {
	case err != nil:
		return b, 0, err
	case value == nil:
		b.Empty = now() - l.rate.span(l.rate.Burst)
	default:
		if err := json.Unmarshal(value, &b); err != nil || b.Out < 0 {
			return b, 0, fmt.Errorf("%w: %s", session.ErrCorrupt, l.bucketKey())
		}
	}
	if l.key == "" {
		return b, 0, nil
	}
	if value, err = tx.Get(l.key); err != nil || value == nil {
		return b, 0, err
	}
	own, err = blockSize(l.key, value)
	return b, own, err
}

// blockSize reads the size of a block. A size that this library does not write must not become a
// time, or a part of a sum.
func blockSize(key string, value []byte) (int64, error) {
	size, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || size < 0 || size > maxTokens {
		return 0, fmt.Errorf("%w: %s", session.ErrCorrupt, key)
	}
	return size, nil
}

// write puts the bucket, and the block of this limiter.
func (l *Limiter) write(tx *stm.Tx, b bucket, size int64) error {
	if l.key != "" {
		b.Out += size
		tx.Put(l.key, strconv.AppendInt(nil, size, 10), gateway.WithLease(l.s.Lease()))
	}
	return l.writeBucket(tx, b)
}

func (l *Limiter) writeBucket(tx *stm.Tx, b bucket) error {
	b.Out = max(0, b.Out) // an operator may have deleted the bucket
	value, err := json.Marshal(b)
	tx.Put(l.bucketKey(), value)
	return err
}

// credit adds the blocks of dead processes to the bucket, from which the own block is left out. The
// blocks are read after the bucket: if that is unchanged at the commit, no block has been put since
// then.
//
// It reads the blocks when their number has fallen, which costs little to find out, and otherwise
// after creditEvery, because a new block may hide that another has gone.
func (l *Limiter) credit(ctx context.Context, b *bucket) error {
	if b.Out <= 0 {
		return nil
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.s.Context(), cancel)() //nolint:contextcheck // its own life
	err := l.readBlocks(reading, b)
	if ended := l.s.Err(); err != nil && ended != nil && ctx.Err() == nil {
		return ended
	}
	return err
}

func (l *Limiter) readBlocks(ctx context.Context, b *bucket) error {
	below, err := l.s.Client().Get(ctx, l.name+"/", gateway.Prefix(), gateway.CountOnly())
	if err != nil {
		return err
	}
	fallen := below.Count < l.counted
	l.counted = below.Count
	if !fallen && time.Since(l.credited) < creditEvery {
		return nil
	}
	l.credited = time.Now()
	live := int64(0)
	pages := l.s.Client().Pages(ctx, l.name+"/", 1000, gateway.Prefix())
	for page, err := range pages {
		if err != nil {
			return err
		}
		for _, kv := range page.KVs {
			if kv.Key == l.key || strings.Contains(kv.Key[len(l.name)+1:], "/") {
				continue // the own block, the bucket, and keys of names below this one
			}
			size, err := blockSize(kv.Key, kv.Value)
			if err != nil {
				return err
			}
			live += size
		}
	}
	if dead := min(b.Out-live, l.rate.Burst); dead > 0 {
		b.Empty -= l.rate.span(dead)
		b.fill(l.rate, now())
	}
	b.Out = live
	return nil
}

// readNumber reads a number, which is 0 if the key does not exist.
func readNumber(tx *stm.Tx, key string) (int64, error) {
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", session.ErrCorrupt, key)
	}
	return n, nil
}
