package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ConflictError matches [ErrConflict]. Its text holds neither key nor value.
type ConflictError struct {
	Current  *KeyValue // what is there instead, with its value; nil if there is no such key
	Revision int64     // of the store, when that was so
}

// Error tells a key that is there from one that is not.
func (e *ConflictError) Error() string {
	if e.Current == nil {
		return ErrConflict.Error() + ": it does not exist"
	}
	return ErrConflict.Error() + ": it has mod revision " + strconv.FormatInt(e.Current.ModRevision, 10)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Create puts a key that does not exist; one that does is ErrConflict, and stays as it is. Of the options of Put it takes
// WithLease.
//
// When its fate is unknown it returns ErrUncertain: it is not repeated, since the key that a second attempt finds could
// be its own or somebody else's. A value that nobody else writes, or a lease of one's own, tells the caller who reads the
// key then.
func (c *Client) Create(ctx context.Context, key string, value []byte, opts ...Option) (*PutResponse, error) {
	put := OpPut(key, value, opts...)
	put.wrong = cmp.Or(put.wrong, put.needsKey())
	return c.putIf(ctx, "create", CmpCreateRevision(key, Equal, 0), put)
}

// PutIfExists puts a key that exists; one that does not is ErrConflict, and is not made. It takes the options of Put. When its
// fate is unknown it returns ErrUncertain: it is not repeated.
func (c *Client) PutIfExists(ctx context.Context, key string, value []byte, opts ...Option) (*PutResponse, error) {
	return c.putIf(ctx, "update", CmpCreateRevision(key, Greater, 0), OpPut(key, value, opts...))
}

// CompareAndSwap puts a key whose value is old; any other value, and no key, is ErrConflict, and nothing is written. It takes
// the options of Put. A key that went from old to something else and back passes: see [Client.ReplaceAt]. When its fate
// is unknown it returns ErrUncertain: it is not repeated.
func (c *Client) CompareAndSwap(ctx context.Context, key string, old, value []byte, opts ...Option) (*PutResponse, error) {
	return c.putIf(ctx, "replace", CmpValue(key, Equal, old), OpPut(key, value, opts...))
}

// UpdateRevision puts a key that was last changed at the revision rev, its ModRevision, and not since; 0 stands for a key that
// does not exist. Else it is ErrConflict, and nothing is written. It takes the options of Put. When its fate is unknown it
// returns ErrUncertain: it is not repeated.
func (c *Client) UpdateRevision(ctx context.Context, key string, rev int64, value []byte, opts ...Option) (*PutResponse, error) {
	put := OpPut(key, value, opts...)
	if rev < 0 {
		put.wrong = cmp.Or(put.wrong, "negative revision")
	}
	return c.putIf(ctx, "replace", CmpModRevision(key, Equal, rev), put)
}

// needsKey names the options of a Put that mean nothing where there is no key yet.
func (o Op) needsKey() string {
	if o.prevKV || o.ignoreValue || o.ignoreLease {
		return "options PrevKV, IgnoreValue and IgnoreLease do not apply to a key that does not exist"
	}
	return ""
}

// putIf puts under a condition on the key, and reads it where the condition does not hold.
func (c *Client) putIf(ctx context.Context, name string, cond Cmp, put Op) (*PutResponse, error) {
	resp, err := c.txn(ctx, name, Txn{If: []Cmp{cond}, Then: []Op{put}, Else: []Op{OpGet(put.key)}})
	if err != nil {
		return nil, err
	}
	if resp.Succeeded {
		out := resp.Responses[0].Put
		out.Header = resp.Header // that of the operation has only the revision
		return out, nil
	}
	conflict := &ConflictError{Revision: resp.Revision}
	if kvs := resp.Responses[0].Get.KVs; len(kvs) > 0 {
		conflict.Current = &kvs[0]
	}
	return nil, &Error{Op: name, cause: conflict}
}

// PutSequential puts a value under a key of its own, dir/<20 digits>, that sorts behind all keys it has made in dir
// before, on whichever client, also when those are deleted: the order of the keys is the order of the writes. The numbers
// grow, with gaps. So POST did in etcd v2. Of the options of Put it takes WithLease. A slash at the end of dir does not
// matter. The revision is that of the write.
//
// The key dir itself keeps the last number; one that holds something else is ErrInvalid. Writers of one dir get in each
// other's way and try again until ctx ends. When the fate of a write is unknown it returns ErrUncertain, and the key that
// it meant to write: somebody else may have got it, so that only the value tells.
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
		// Above every revision at which a number was taken, and so above every number; and above the last one, which a copy
		// from another cluster may have brought along.
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
