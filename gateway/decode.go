package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// decoder reads answers about keys, and events. It allocates the answers to a list of operations at
// once.
type decoder struct {
	etcdjson.Reader

	kv      etcdjson.KeyValue // the last one read
	gets    []GetResponse
	puts    []PutResponse
	deletes []DeleteResponse
}

func (c *Client) newDecoder(answer []byte) decoder {
	return decoder{Reader: etcdjson.NewReader(answer, len(c.cfg.Namespace))}
}

// answerOf returns the function that reads a call's answer.
func answerOf[A any](
	c *Client, out **A, read func(d *decoder, a *A) etcdjson.Header,
) func(body []byte) (etcdjson.Header, error) {
	return func(body []byte) (etcdjson.Header, error) {
		d := c.newDecoder(body)
		a := new(A) // one for each attempt: a bad answer must leave nothing behind
		h := read(&d, a)
		if err := d.End(); err != nil {
			return etcdjson.Header{}, err
		}
		*out = a
		return h, nil
	}
}

func headerOf(h etcdjson.Header) Header {
	return Header{
		ClusterID: uint64(h.ClusterID), MemberID: uint64(h.MemberID),
		Revision: int64(h.Revision), RaftTerm: uint64(h.RaftTerm),
	}
}

// The revisions of a key are checked because a compare with 0 holds for a key that does not exist.
var errNoRevisions = errors.New("a key without its revisions")

// keyOf returns a key that was read.
func (d *decoder) keyOf(kv *etcdjson.KeyValue) KeyValue {
	if kv.CreateRevision <= 0 || kv.ModRevision < kv.CreateRevision {
		d.Check(errNoRevisions)
	}
	return keyValueOf(kv)
}

func keyValueOf(kv *etcdjson.KeyValue) KeyValue {
	return KeyValue{
		Key: kv.Key, Value: kv.Value, CreateRevision: kv.CreateRevision,
		ModRevision: kv.ModRevision, Version: kv.Version, Lease: LeaseID(kv.Lease),
	}
}

func (d *decoder) event(ev *etcdjson.Event) (e Event) {
	if e.Deleted = ev.Deleted; ev.Deleted { // it has no more than the revision of the deletion
		if e.KV = keyValueOf(&ev.KV); e.KV.ModRevision <= 0 {
			d.Check(errNoRevisions)
		}
	} else {
		e.KV = d.keyOf(&ev.KV)
	}
	if ev.HasPrev {
		e.PrevKV = new(d.keyOf(&ev.Prev))
	}
	return e
}

func (d *decoder) get(a *GetResponse) etcdjson.Header {
	var w etcdjson.RangeAnswer
	d.Range(&w, func() {
		d.KeyValue(&d.kv)
		a.KVs = append(a.KVs, d.keyOf(&d.kv))
	})
	a.Header, a.More, a.Count = headerOf(w.Header), w.More, w.Count
	return w.Header
}

func (d *decoder) put(a *PutResponse) etcdjson.Header {
	var w etcdjson.PutAnswer
	d.Put(&w, func() {
		d.KeyValue(&d.kv)
		a.PrevKV = new(d.keyOf(&d.kv))
	})
	a.Header = headerOf(w.Header)
	return w.Header
}

func (d *decoder) delete(a *DeleteResponse) etcdjson.Header {
	var w etcdjson.DeleteAnswer
	d.Delete(&w, func() {
		d.KeyValue(&d.kv)
		a.PrevKVs = append(a.PrevKVs, d.keyOf(&d.kv))
	})
	a.Header, a.Deleted = headerOf(w.Header), w.Deleted
	return w.Header
}

func (d *decoder) txn(a *TxnResponse, size int) etcdjson.Header {
	var w etcdjson.TxnAnswer
	d.Txn(&w, func() {
		if a.Responses == nil {
			a.Responses = make([]OpResponse, 0, size)
		}
		a.Responses = append(a.Responses, OpResponse{})
		d.op(&a.Responses[len(a.Responses)-1])
	})
	a.Header, a.Succeeded = headerOf(w.Header), w.Succeeded
	return w.Header
}

func (d *decoder) op(a *OpResponse) {
	d.Op(func(kind etcdjson.Op) {
		switch kind {
		case etcdjson.Range:
			a.Get = take(&d.gets)
			d.get(a.Get)
		case etcdjson.Put:
			a.Put = take(&d.puts)
			d.put(a.Put)
		case etcdjson.Delete:
			a.Delete = take(&d.deletes)
			d.delete(a.Delete)
		case etcdjson.Txn:
			a.Txn = new(TxnResponse)
			d.txn(a.Txn, 1)
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

// reserve allocates the answers to these operations.
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
		default: // nested ones are allocated one by one
		}
	}
	d.gets, d.puts = make([]GetResponse, gets), make([]PutResponse, puts)
	d.deletes = make([]DeleteResponse, deletes)
}

// fits checks an answer against its request: each operation must have an answer of its kind.
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
		case o.kind == kindGet && r.Get != nil:
			err = o.keys().check(r.Get.KVs)
		case o.kind == kindPut && r.Put != nil:
		case o.kind == kindDelete && r.Delete != nil:
			err = o.keys().check(r.Delete.PrevKVs)
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

// keyRange is the keys that an operation is about.
type keyRange struct {
	span     spanKind
	key, end string
}

func (o *Op) keys() keyRange { return keyRange{o.span, o.key, o.end} }

// check returns an error if one of the keys is outside of the range.
func (r keyRange) check(kvs []KeyValue) error {
	for i := range kvs {
		key, ok := kvs[i].Key, false
		switch r.span {
		case spanKey:
			ok = key == r.key
		case spanPrefix:
			ok = strings.HasPrefix(key, r.key)
		case spanRange:
			ok = key >= r.key && key < r.end
		case spanFrom:
			ok = key >= r.key
		}
		if !ok {
			return errors.New("a key that was not asked for")
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

// watchLine reads a message. It returns nil if the message is not about a watch.
func (d *decoder) watchLine() *watchAnswer {
	var w etcdjson.WatchAnswer
	var events []Event
	var ev etcdjson.Event
	if !d.Watch(&w, func() {
		d.Event(&ev)
		events = append(events, d.event(&ev))
	}) {
		return nil
	}
	return &watchAnswer{
		Header: headerOf(w.Header), watchID: w.WatchID, created: w.Created,
		canceled: w.Canceled, reason: w.CancelReason, compacted: w.CompactRevision,
		fragment: w.Fragment, events: events,
	}
}
