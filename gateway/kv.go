package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Header comes with every answer.
type Header struct {
	ClusterID uint64
	MemberID  uint64 // the member that answered
	Revision  int64  // of the store, when the answer was made
	RaftTerm  uint64
}

// KeyValue is one key as stored.
type KeyValue struct {
	Key            string
	Value          []byte
	CreateRevision int64 // of the write that created this incarnation of the key
	ModRevision    int64 // of the last write
	Version        int64 // number of writes since it was created, from 1
	Lease          LeaseID
}

// GetResponse answers a Get.
type GetResponse struct {
	Header
	KVs   []KeyValue
	More  bool  // a Limit left some out
	Count int64 // keys in the range, also those that a Limit or a bound of revisions left out
}

// PutResponse answers a Put.
type PutResponse struct {
	Header
	PrevKV *KeyValue // with PrevKV(), and if there was one
}

// DeleteResponse answers a Delete.
type DeleteResponse struct {
	Header
	Deleted int64
	PrevKVs []KeyValue // with PrevKV()
}

// TxnResponse answers a Txn: Responses has one entry for each operation of the branch taken.
type TxnResponse struct {
	Header
	Succeeded bool // Then was taken
	Responses []OpResponse
}

// OpResponse answers one operation; the field of its kind is set.
type OpResponse struct {
	Get    *GetResponse
	Put    *PutResponse
	Delete *DeleteResponse
	Txn    *TxnResponse
}

// Get reads a key, or a range of keys with [Prefix], [Range] or [FromKey]. It is linearizable unless [Serializable]
// says otherwise. It goes on at other endpoints until ctx ends.
func (c *Client) Get(ctx context.Context, key string, opts ...Option) (*GetResponse, error) {
	return c.get(ctx, OpGet(key, opts...))
}

func (c *Client) get(ctx context.Context, op Op) (out *GetResponse, err error) {
	r := &call{op: "get", path: "/kv/range", repeat: true, linear: !op.serializable && op.revision == 0, local: op.serializable}
	r.answer = answerOf(c, &out, (*decoder).get)
	err = c.single(ctx, r, op)
	return out, err
}

// single sends one operation.
func (c *Client) single(ctx context.Context, r *call, op Op) error {
	e := newEncoder(c.cfg.Namespace, 1)
	if err := e.op(&op); err != nil {
		return invalid(r.op, "%v", err)
	}
	r.body = e.Text()
	return c.do(ctx, r)
}

// Put writes a key. When its fate is unknown it returns ErrUncertain: it is not repeated.
func (c *Client) Put(ctx context.Context, key string, value []byte, opts ...Option) (out *PutResponse, err error) {
	r := &call{op: "put", path: "/kv/put", write: true, linear: true}
	r.answer = answerOf(c, &out, (*decoder).put)
	err = c.single(ctx, r, OpPut(key, value, opts...))
	return out, err
}

// Delete deletes a key, or a range of keys with [Prefix], [Range] or [FromKey]. When its fate is unknown it returns
// ErrUncertain: it is not repeated.
func (c *Client) Delete(ctx context.Context, key string, opts ...Option) (out *DeleteResponse, err error) {
	r := &call{op: "delete", path: "/kv/deleterange", write: true, linear: true}
	r.answer = answerOf(c, &out, (*decoder).delete)
	err = c.single(ctx, r, OpDelete(key, opts...))
	return out, err
}

// Txn runs a transaction. If it writes and its fate is unknown, it returns ErrUncertain: it is not repeated.
func (c *Client) Txn(ctx context.Context, t Txn) (*TxnResponse, error) { return c.txn(ctx, "txn", t) }

func (c *Client) txn(ctx context.Context, name string, t Txn) (out *TxnResponse, err error) {
	e := newEncoder(c.cfg.Namespace, 1+len(t.If)+len(t.Then)+len(t.Else))
	if err := e.txn(&t); err != nil {
		return nil, invalid(name, "%v", err)
	}
	read := t.readOnly()
	r := &call{op: name, path: "/kv/txn", body: e.Text()}
	r.write, r.repeat, r.linear = !read, read, !t.local()
	r.answer = answerOf(c, &out, func(d *decoder, a *TxnResponse) etcdjson.Header {
		d.reserve(t.Then)
		h := d.txn(a, len(t.Then))
		d.Check(t.fits(a))
		return h
	})
	err = c.do(ctx, r)
	return out, err
}

// Compact forgets the history before rev: reads and watches below it become ErrCompacted, as does a Compact of what is
// compacted already. It is safe to repeat, and is repeated.
//
// With [Physical] it is one attempt that may take as long as ctx allows: a lost answer is ErrUncertain, since a second
// attempt would be told that rev is compacted and not whether the database is rid of it. Other members work on theirs.
func (c *Client) Compact(ctx context.Context, rev int64, opts ...Option) error {
	type request struct {
		Revision int64 `json:"revision,string"`
		Physical bool  `json:"physical,omitempty"`
	}
	op := Op{kind: kindCompact}.with(opts)
	switch {
	case op.wrong != "":
		return invalid("compact", "%s", op.wrong)
	case rev <= 0:
		return invalid("compact", "a revision below 1")
	}
	r := &call{op: "compact", path: "/kv/compaction", write: true, repeat: !op.physical}
	if op.physical {
		r.timeout = longest
		if deadline, ok := ctx.Deadline(); ok {
			r.timeout = min(longest, max(1, time.Until(deadline)))
		}
	}
	r.settled = func(e *Error) bool { return !op.physical && errors.Is(e, ErrCompacted) }
	return unary(ctx, c, r, request{rev, op.physical}, headerOnly)
}

// longest bounds an attempt that takes as long as it takes.
const longest = 24 * time.Hour

// unary sends a request with a plain JSON answer and lets done look at the answer once it is decoded.
func unary[A any](
	ctx context.Context, c *Client, r *call, request any,
	done func(*A) (etcdjson.Header, error),
) error {
	if err := prepare(r, request, done); err != nil {
		return err
	}
	return c.do(ctx, r)
}

type headerAnswer struct {
	Header etcdjson.Header `json:"header"`
}

func headerOnly(a *headerAnswer) (etcdjson.Header, error) { return a.Header, nil }
