package gateway

import (
	"errors"
	"fmt"
)

// decoder reads answers about keys, and events. What a list of operations needs is made at once for all of them.
type decoder struct {
	scanner
	ns int // the length of the namespace

	gets    []GetResponse
	puts    []PutResponse
	deletes []DeleteResponse
}

// answerOf makes the reader of a call's answer.
func answerOf[A any](c *Client, out **A, read func(d *decoder, a *A) *Header) func(body []byte) (wireHeader, error) {
	return func(body []byte) (wireHeader, error) {
		d := decoder{scanner: scanner{b: body}, ns: len(c.cfg.Namespace)}
		a := new(A) // one for each attempt: a bad answer must leave nothing behind
		h := read(&d, a)
		if err := d.end(); err != nil {
			return wireHeader{}, err
		}
		*out = a
		return h.wire(), nil
	}
}

func (d *decoder) header(h *Header) {
	d.object(func(name []byte) {
		switch string(name) {
		case "cluster_id":
			h.ClusterID = d.uint()
		case "member_id":
			h.MemberID = d.uint()
		case "revision":
			h.Revision = d.int()
		case "raft_term":
			h.RaftTerm = d.uint()
		default:
			d.skip()
		}
	})
}

func (d *decoder) kv(kv *KeyValue) {
	d.object(func(name []byte) {
		switch string(name) {
		case "key":
			kv.Key = d.key()
		case "value":
			kv.Value = append([]byte(nil), d.bytes()...)
		case "create_revision":
			kv.CreateRevision = d.int()
		case "mod_revision":
			kv.ModRevision = d.int()
		case "version":
			kv.Version = d.int()
		case "lease":
			kv.Lease = LeaseID(d.int())
		default:
			d.skip()
		}
	})
}

// key takes the namespace off.
func (d *decoder) key() string {
	key := d.bytes()
	if len(key) < d.ns {
		d.fail("key outside of the namespace")
		return ""
	}
	return string(key[d.ns:])
}

func (d *decoder) prevKV() *KeyValue {
	if d.null() {
		return nil
	}
	kv := new(KeyValue)
	d.kv(kv)
	return kv
}

func (d *decoder) kvs() (kvs []KeyValue) {
	d.list(func() {
		kvs = append(kvs, KeyValue{})
		d.kv(&kvs[len(kvs)-1])
	})
	return kvs
}

func (d *decoder) get(a *GetResponse) *Header {
	d.object(func(name []byte) {
		switch string(name) {
		case "header":
			d.header(&a.Header)
		case "kvs":
			a.KVs = d.kvs()
		case "more":
			a.More = d.bool()
		case "count":
			a.Count = d.int()
		default:
			d.skip()
		}
	})
	return &a.Header
}

func (d *decoder) put(a *PutResponse) *Header {
	d.object(func(name []byte) {
		switch string(name) {
		case "header":
			d.header(&a.Header)
		case "prev_kv":
			a.PrevKV = d.prevKV()
		default:
			d.skip()
		}
	})
	return &a.Header
}

func (d *decoder) delete(a *DeleteResponse) *Header {
	d.object(func(name []byte) {
		switch string(name) {
		case "header":
			d.header(&a.Header)
		case "deleted":
			a.Deleted = d.int()
		case "prev_kvs":
			a.PrevKVs = d.kvs()
		default:
			d.skip()
		}
	})
	return &a.Header
}

func (d *decoder) txn(a *TxnResponse, size int) *Header {
	d.object(func(name []byte) {
		switch string(name) {
		case "header":
			d.header(&a.Header)
		case "succeeded":
			a.Succeeded = d.bool()
		case "responses":
			a.Responses = make([]OpResponse, 0, size)
			d.list(func() {
				a.Responses = append(a.Responses, OpResponse{})
				d.op(&a.Responses[len(a.Responses)-1])
			})
		default:
			d.skip()
		}
	})
	return &a.Header
}

func (d *decoder) op(a *OpResponse) {
	d.object(func(name []byte) {
		if d.null() {
			return
		}
		switch string(name) {
		case "response_range":
			a.Get = take(&d.gets)
			d.get(a.Get)
		case "response_put":
			a.Put = take(&d.puts)
			d.put(a.Put)
		case "response_delete_range":
			a.Delete = take(&d.deletes)
			d.delete(a.Delete)
		case "response_txn":
			a.Txn = new(TxnResponse)
			d.txn(a.Txn, 1)
		default:
			d.skip()
		}
	})
}

func take[A any](made *[]A) *A {
	if len(*made) == 0 {
		return new(A)
	}
	a := &(*made)[0]
	*made = (*made)[1:]
	return a
}

// reserve makes what the answers to these operations need.
func (d *decoder) reserve(ops []Op) {
	var gets, puts, deletes int
	for i := range ops {
		switch ops[i].kind {
		case kindGet:
			gets++
		case kindPut:
			puts++
		case kindDelete:
			deletes++
		default: // nested ones are made one by one
		}
	}
	d.gets, d.puts, d.deletes = make([]GetResponse, gets), make([]PutResponse, puts), make([]DeleteResponse, deletes)
}

// fits checks an answer against what was sent: each operation must have got an answer of its kind.
func (t *Txn) fits(a *TxnResponse) error {
	ops := t.Else
	if a.Succeeded {
		ops = t.Then
	}
	if len(ops) != len(a.Responses) {
		return fmt.Errorf("txn: %d answers to %d operations", len(a.Responses), len(ops))
	}
	for i := range ops {
		var err error
		switch o, r := &ops[i], &a.Responses[i]; {
		case o.kind == kindGet && r.Get != nil, o.kind == kindPut && r.Put != nil, o.kind == kindDelete && r.Delete != nil:
		case o.kind == kindTxn && r.Txn != nil:
			err = o.txn.fits(r.Txn)
		default:
			err = errors.New("txn: an answer of another kind than its operation")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// watchAnswer is one message of the watch stream.
type watchAnswer struct {
	Header
	watchID   int64
	created   bool
	canceled  bool
	reason    string
	compacted int64
	fragment  bool
	events    []Event
}

// watchLine reads a message; nil if it is none of a watch.
func (d *decoder) watchLine() (a *watchAnswer) {
	d.object(func(name []byte) {
		switch {
		case d.null():
		case string(name) == "result":
			a = new(watchAnswer)
			d.watch(a)
		default:
			d.skip()
		}
	})
	return a
}

func (d *decoder) watch(a *watchAnswer) {
	d.object(func(name []byte) {
		switch string(name) {
		case "header":
			d.header(&a.Header)
		case "watch_id":
			a.watchID = d.int()
		case "created":
			a.created = d.bool()
		case "canceled":
			a.canceled = d.bool()
		case "cancel_reason":
			a.reason = d.string()
		case "compact_revision":
			a.compacted = d.int()
		case "fragment":
			a.fragment = d.bool()
		case "events":
			d.list(func() {
				a.events = append(a.events, Event{})
				d.event(&a.events[len(a.events)-1])
			})
		default:
			d.skip()
		}
	})
}

func (d *decoder) event(ev *Event) {
	d.object(func(name []byte) {
		switch string(name) {
		case "type":
			ev.Deleted = string(d.text()) == "DELETE"
		case "kv":
			d.kv(&ev.KV)
		case "prev_kv":
			ev.PrevKV = d.prevKV()
		default:
			d.skip()
		}
	})
}
