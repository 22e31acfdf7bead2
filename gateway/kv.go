package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Header is the part of every answer that describes the cluster.
type Header struct {
	ClusterID uint64
	MemberID  uint64 // the member that answered
	Revision  int64  // of the store, at the time of the answer
	RaftTerm  uint64
}

// KeyValue is one key as etcd stores it.
type KeyValue struct {
	Key            string
	Value          []byte
	CreateRevision int64   // of the write that created the key, after its last deletion
	ModRevision    int64   // of the last write
	Version        int64   // number of writes since it was created, from 1
	Lease          LeaseID // 0 without one; etcd 3.7 leaves it out with KeysOnly
}

// GetResponse is the keys that a Get read.
type GetResponse struct {
	Header
	KVs   []KeyValue
	More  bool  // a Limit left keys out
	Count int64 // keys in the range, also those that options left out
}

// PutResponse is the outcome of a Put.
type PutResponse struct {
	Header
	PrevKV *KeyValue // with PrevKV(), if the key existed
}

// DeleteResponse is the outcome of a Delete.
type DeleteResponse struct {
	Header
	Deleted int64
	PrevKVs []KeyValue // with PrevKV()
}

// TxnResponse is the outcome of a Txn. Responses has one entry for each operation of the branch
// that was applied.
type TxnResponse struct {
	Header
	Succeeded bool // Then was applied, not Else
	Responses []OpResponse
}

// OpResponse is the outcome of one operation; the field of its kind is set.
type OpResponse struct {
	Get    *GetResponse
	Put    *PutResponse
	Delete *DeleteResponse
	Txn    *TxnResponse
}

// Get reads a key, or a range of keys with [Prefix], [Range] or [FromKey]. A key that does not
// exist is not an error: KVs is empty. It is linearizable unless [Serializable] is given. It is
// retried at other endpoints until ctx ends. Returns ErrCompacted when the revision of [AtRevision]
// has been compacted, ErrFutureRevision when the cluster has not reached it, and
// ErrResponseTooLarge when the answer is larger than [Config].MaxResponse.
func (c *Client) Get(ctx context.Context, key string, opts ...Option) (*GetResponse, error) {
	return c.get(ctx, OpGet(key, opts...))
}

func (c *Client) get(ctx context.Context, op Op) (out *GetResponse, err error) {
	r := &call{op: "get", path: "/kv/range", repeat: true, local: op.serializable}
	r.linear = !op.serializable && op.revision == 0
	keys := op.keys() // op itself would be on the heap in each call
	r.answer = answerOf(c, &out, func(d *decoder, a *GetResponse) etcdjson.Header {
		header := d.get(a)
		d.Check(keys.check(a.KVs))
		return header
	})
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

// Put writes a key. It is sent at most once: it is retried only while no attempt can have been
// applied. Returns ErrUncertain when ctx ends or the answer is lost after it was sent, ErrNoSpace
// when the database is full, and ErrLeaseNotFound when the lease of [WithLease] is gone.
func (c *Client) Put(
	ctx context.Context, key string, value []byte, opts ...Option,
) (*PutResponse, error) {
	return c.put(ctx, OpPut(key, value, opts...))
}

func (c *Client) put(ctx context.Context, op Op) (out *PutResponse, err error) {
	r := &call{op: "put", path: "/kv/put", write: true, linear: true}
	r.answer = answerOf(c, &out, (*decoder).put)
	err = c.single(ctx, r, op)
	return out, err
}

// Delete deletes a key, or a range of keys with [Prefix], [Range] or [FromKey]. A key that does not
// exist is not an error: Deleted is 0. It is sent at most once: it is retried only while no attempt
// can have been applied. Returns ErrUncertain when ctx ends or the answer is lost after it was
// sent.
func (c *Client) Delete(ctx context.Context, key string, opts ...Option) (*DeleteResponse, error) {
	return c.delete(ctx, OpDelete(key, opts...))
}

func (c *Client) delete(ctx context.Context, op Op) (out *DeleteResponse, err error) {
	r := &call{op: "delete", path: "/kv/deleterange", write: true, linear: true}
	keys := op.keys()
	r.answer = answerOf(c, &out, func(d *decoder, a *DeleteResponse) etcdjson.Header {
		header := d.delete(a)
		d.Check(keys.check(a.PrevKVs))
		return header
	})
	err = c.single(ctx, r, op)
	return out, err
}

// Do runs one operation, like the method of its kind: [Client.Get], [Client.Put], [Client.Delete]
// or [Client.Txn]. The answer has one field set. Returns the errors of that method, and ErrInvalid
// for the zero Op.
func (c *Client) Do(ctx context.Context, op Op) (out OpResponse, err error) {
	switch op.kind {
	case kindGet:
		out.Get, err = c.get(ctx, op)
	case kindPut:
		out.Put, err = c.put(ctx, op)
	case kindDelete:
		out.Delete, err = c.delete(ctx, op)
	case kindTxn:
		out.Txn, err = c.Txn(ctx, *op.txn)
	default:
		err = invalid("do", "no operation")
	}
	return out, err
}

// Txn applies a transaction. If it only reads, it is retried at other endpoints until ctx ends. If
// it writes, it is sent at most once, and returns ErrUncertain when ctx ends or the answer is lost
// after it was sent. Returns ErrInvalid when etcd rejects the operations, for example two writes of
// one key, ErrNoSpace when the database is full, and ErrLeaseNotFound when the lease of a put is
// gone.
func (c *Client) Txn(ctx context.Context, t Txn) (*TxnResponse, error) {
	return c.txn(ctx, "txn", t)
}

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

// Compact deletes the history before rev. Reads and watches below rev then return ErrCompacted.
// Returns ErrCompacted when rev is compacted already. It may be repeated, and is retried at other
// endpoints until ctx ends.
//
// With [Physical] it is sent at most once and may take as long as ctx allows. Returns ErrUncertain
// when the answer is lost, because a second attempt could only find that rev is compacted, and not
// whether the database has freed the history. Other members free theirs by themselves.
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

// longest bounds an attempt that has no time of its own.
const longest = 24 * time.Hour

// unary sends a request with a plain JSON answer, and calls done with the decoded answer.
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
