package etcdjson

// Header is the header of every answer.
type Header struct {
	ClusterID Uint64 `json:"cluster_id"`
	MemberID  Uint64 `json:"member_id"`
	Revision  Int64  `json:"revision"`
	RaftTerm  Uint64 `json:"raft_term"`
}

// KeyValue is one stored key, without the namespace.
type KeyValue struct {
	Key            string
	Value          []byte
	CreateRevision int64
	ModRevision    int64
	Version        int64
	Lease          int64
}

// RangeAnswer is the answer to a range request, without its keys.
type RangeAnswer struct {
	Header Header
	More   bool
	Count  int64
}

// PutAnswer is the answer to a put request, without the replaced key.
type PutAnswer struct{ Header Header }

// DeleteAnswer is the answer to a delete request, without the deleted keys.
type DeleteAnswer struct {
	Header  Header
	Deleted int64
}

// TxnAnswer is the answer to a transaction, without the answers to its operations.
type TxnAnswer struct {
	Header    Header
	Succeeded bool
}

// Range reads the answer to a range request. It calls key for each key, which must read it with
// [Reader.KeyValue].
func (r *Reader) Range(a *RangeAnswer, key func()) {
	r.object(func(name []byte) {
		switch string(name) {
		case "header":
			r.header(&a.Header)
		case "kvs":
			r.list(key)
		case "more":
			a.More = r.bool()
		case "count":
			a.Count = r.int()
		default:
			r.skip()
		}
	})
}

// Put reads the answer to a put request. It calls key for the replaced key, if the request
// asked for it; key must read it with [Reader.KeyValue].
func (r *Reader) Put(a *PutAnswer, key func()) {
	r.object(func(name []byte) {
		switch string(name) {
		case "header":
			r.header(&a.Header)
		case "prev_kv":
			if !r.null() {
				key()
			}
		default:
			r.skip()
		}
	})
}

// Delete reads the answer to a delete request. It calls key for each deleted key, if the
// request asked for them; key must read it with [Reader.KeyValue].
func (r *Reader) Delete(a *DeleteAnswer, key func()) {
	r.object(func(name []byte) {
		switch string(name) {
		case "header":
			r.header(&a.Header)
		case "deleted":
			a.Deleted = r.int()
		case "prev_kvs":
			r.list(key)
		default:
			r.skip()
		}
	})
}

// Txn reads the answer to a transaction. It calls op for each operation, which must read its answer
// with [Reader.Op].
func (r *Reader) Txn(a *TxnAnswer, op func()) {
	r.object(func(name []byte) {
		switch string(name) {
		case "header":
			r.header(&a.Header)
		case "succeeded":
			a.Succeeded = r.bool()
		case "responses":
			r.list(op)
		default:
			r.skip()
		}
	})
}

// Op reads the answer to an operation of a transaction. It calls read with the kind of the
// operation; read must read the answer with the method of that kind.
func (r *Reader) Op(read func(kind Op)) {
	r.object(func(name []byte) {
		if r.null() {
			return
		}
		switch string(name) {
		case "response_range":
			read(Range)
		case "response_put":
			read(Put)
		case "response_delete_range":
			read(Delete)
		case "response_txn":
			read(Txn)
		default:
			r.skip()
		}
	})
}

func (r *Reader) header(h *Header) {
	r.object(func(name []byte) {
		switch string(name) {
		case "cluster_id":
			h.ClusterID = Uint64(r.uint())
		case "member_id":
			h.MemberID = Uint64(r.uint())
		case "revision":
			h.Revision = Int64(r.int())
		case "raft_term":
			h.RaftTerm = Uint64(r.uint())
		default:
			r.skip()
		}
	})
}

// KeyValue reads one key.
func (r *Reader) KeyValue(kv *KeyValue) {
	*kv = KeyValue{}
	r.object(func(name []byte) {
		switch string(name) {
		case "key":
			kv.Key = r.key()
		case "value":
			kv.Value = append([]byte(nil), r.bytes()...)
		case "create_revision":
			kv.CreateRevision = r.int()
		case "mod_revision":
			kv.ModRevision = r.int()
		case "version":
			kv.Version = r.int()
		case "lease":
			kv.Lease = r.int()
		default:
			r.skip()
		}
	})
}

// key reads a key and removes the namespace.
func (r *Reader) key() string {
	key := r.bytes()
	if len(key) < r.prefix {
		r.fail("key outside of the namespace")
		return ""
	}
	return string(key[r.prefix:])
}
