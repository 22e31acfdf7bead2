package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ConflictError is the error when a key is not as a conditional put requires. It matches
// [ErrConflict]. Its text holds neither key nor value.
type ConflictError struct {
	Current  *KeyValue // the key as it is, with its value; nil if it does not exist
	Revision int64     // of the store, when Current was read
}

// Error says whether the key exists and, if so, its mod revision.
func (e *ConflictError) Error() string {
	if e.Current == nil {
		return ErrConflict.Error() + ": it does not exist"
	}
	return ErrConflict.Error() + ": it has mod revision " +
		strconv.FormatInt(e.Current.ModRevision, 10)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Create puts a key that does not exist. Of the options of Put it takes WithLease.
//
// Returns ErrConflict when the key exists; nothing is then written. It is sent at most once, and
// returns ErrUncertain when ctx ends or the answer is lost after it was sent. A second attempt
// could not know whether it finds its own key or another writer's. A unique value, or a lease of
// one's own, lets the caller decide that by reading the key.
func (c *Client) Create(
	ctx context.Context, key string, value []byte, opts ...Option,
) (*PutResponse, error) {
	put := OpPut(key, value, opts...)
	put.wrong = cmp.Or(put.wrong, put.needsKey())
	return c.putIf(ctx, "create", CmpCreateRevision(key, Equal, 0), put)
}

// PutIfExists puts a key that exists. It takes the options of Put. Returns ErrConflict when the key
// does not exist; nothing is then written. It is sent at most once, and returns ErrUncertain when
// ctx ends or the answer is lost after it was sent.
func (c *Client) PutIfExists(
	ctx context.Context, key string, value []byte, opts ...Option,
) (*PutResponse, error) {
	return c.putIf(ctx, "update", CmpCreateRevision(key, Greater, 0), OpPut(key, value, opts...))
}

// CompareAndSwap puts a key whose value is old. It takes the options of Put. Returns ErrConflict
// when the key has another value or does not exist; nothing is then written. A value that changed
// and changed back is not noticed: see [Client.UpdateRevision]. It is sent at most once, and
// returns ErrUncertain when ctx ends or the answer is lost after it was sent.
func (c *Client) CompareAndSwap(
	ctx context.Context, key string, old, value []byte, opts ...Option,
) (*PutResponse, error) {
	return c.putIf(ctx, "replace", CmpValue(key, Equal, old), OpPut(key, value, opts...))
}

// UpdateRevision puts a key whose ModRevision is rev; 0 stands for a key that does not exist. It
// takes the options of Put. Returns ErrConflict when the key has changed since; nothing is then
// written. It is sent at most once, and returns ErrUncertain when ctx ends or the answer is lost
// after it was sent.
func (c *Client) UpdateRevision(
	ctx context.Context, key string, rev int64, value []byte, opts ...Option,
) (*PutResponse, error) {
	put := OpPut(key, value, opts...)
	if rev < 0 {
		put.wrong = cmp.Or(put.wrong, "negative revision")
	}
	return c.putIf(ctx, "replace", CmpModRevision(key, Equal, rev), put)
}

// needsKey rejects the options of a Put that mean nothing for a key that does not exist.
func (o Op) needsKey() string {
	if o.prevKV || o.ignoreValue || o.ignoreLease {
		return "options PrevKV, IgnoreValue and IgnoreLease do not apply " +
			"to a key that does not exist"
	}
	return ""
}

// putIf puts under a condition on the key, and reads the key where the condition does not hold.
func (c *Client) putIf(ctx context.Context, name string, cond Cmp, put Op) (*PutResponse, error) {
	resp, err := c.txn(ctx, name, Txn{If: []Cmp{cond}, Then: []Op{put}, Else: []Op{OpGet(put.key)}})
	if err != nil {
		return nil, err
	}
	if resp.Succeeded {
		out := resp.Responses[0].Put
		out.Header = resp.Header // the operation's own header has only the revision
		return out, nil
	}
	conflict := &ConflictError{Revision: resp.Revision}
	if kvs := resp.Responses[0].Get.KVs; len(kvs) > 0 {
		conflict.Current = &kvs[0]
	}
	return nil, &Error{Op: name, cause: conflict}
}

// PutSequential puts a value under a new key, dir/<20 digits>, and returns the key and the revision
// of the write. The key sorts behind all keys that any client made this way in dir, also behind
// deleted ones, so the order of the keys is the order of the writes. The numbers have gaps. It
// replaces POST of etcd v2. Of the options of Put it takes WithLease. A slash at the end of dir is
// ignored.
//
// The key dir itself keeps the last number. Returns ErrInvalid when it holds something else.
// Writers of one dir conflict; the call retries until ctx ends. Returns ErrUncertain, with the key
// that it tried to write, when the answer to a write is lost. Another writer may have that key, so
// check its value.
func (c *Client) PutSequential(
	ctx context.Context, dir string, value []byte, opts ...Option,
) (key string, rev int64, err error) {
	const name = "put sequential"
	dir = strings.TrimSuffix(dir, "/")
	item := OpPut(dir, value, opts...)
	if wrong := cmp.Or(item.wrong, item.needsKey()); wrong != "" {
		return "", 0, invalid(name, "%s", wrong)
	}
	at, err := c.Get(ctx, dir)
	if err != nil {
		return "", 0, err
	}
	pause, header, tried := newBackoff(), at.Header, int64(0)
	for try := 0; ; try++ {
		last, mod, err := lastNumber(at.KVs)
		if err != nil {
			return "", 0, invalid(name, "%v", err)
		}
		// Above every revision at which a number was chosen, and so above every number; and above
		// the last one, because a copy from another cluster may have higher numbers.
		n := max(header.Revision, last, tried) + 1
		digits := fmt.Sprintf("%020d", n)
		item.key = dir + "/" + digits
		resp, err := c.txn(ctx, name, Txn{
			If:   []Cmp{CmpModRevision(dir, Equal, mod), CmpCreateRevision(item.key, Equal, 0)},
			Then: []Op{OpPut(dir, []byte(digits)), item},
			Else: []Op{OpGet(dir)},
		})
		switch {
		case errors.Is(err, ErrUncertain):
			return item.key, 0, err
		case err != nil:
			return "", 0, err
		case resp.Succeeded:
			return item.key, resp.Revision, nil
		}
		at, header, tried = resp.Responses[0].Get, resp.Header, n
		if try > 0 && !sleep(ctx, pause.NextBackOff()) {
			return "", 0, c.ended(ctx, &call{op: name}, nil)
		}
	}
}

// lastNumber reads the key that keeps the last number of a directory.
func lastNumber(kvs []KeyValue) (last, mod int64, err error) {
	if len(kvs) == 0 {
		return 0, 0, nil
	}
	last, err = strconv.ParseInt(string(kvs[0].Value), 10, 64)
	if err != nil || last < 0 || last == 1<<63-1 || len(kvs[0].Value) != 20 {
		return 0, 0, errors.New("the directory is a key with a value of its own")
	}
	return last, kvs[0].ModRevision, nil
}
