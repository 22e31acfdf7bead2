package etcdjson_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// The messages for encoding/json, to check the results of Reader.
type (
	plainKV struct {
		Key            etcdjson.Bytes `json:"key"`
		Value          etcdjson.Bytes `json:"value,omitempty"`
		CreateRevision etcdjson.Int64 `json:"create_revision,string"`
		ModRevision    etcdjson.Int64 `json:"mod_revision,string"`
		Version        etcdjson.Int64 `json:"version,string"`
		Lease          etcdjson.Int64 `json:"lease,string"`
	}
	plainRange struct {
		Header etcdjson.Header `json:"header"`
		KVs    []plainKV       `json:"kvs"`
		More   bool            `json:"more"`
		Count  etcdjson.Int64  `json:"count"`
	}
	plainPut struct {
		Header etcdjson.Header `json:"header"`
		Prev   *plainKV        `json:"prev_kv"`
	}
	plainDelete struct {
		Header  etcdjson.Header `json:"header"`
		Deleted etcdjson.Int64  `json:"deleted"`
		Prev    []plainKV       `json:"prev_kvs"`
	}
	plainEvent struct {
		Type string   `json:"type,omitempty"`
		KV   plainKV  `json:"kv"`
		Prev *plainKV `json:"prev_kv,omitempty"`
	}
	plainWatch struct {
		Header    etcdjson.Header `json:"header"`
		WatchID   etcdjson.Int64  `json:"watch_id"`
		Created   bool            `json:"created"`
		Canceled  bool            `json:"canceled"`
		Reason    string          `json:"cancel_reason"`
		Compacted etcdjson.Int64  `json:"compact_revision"`
		Fragment  bool            `json:"fragment"`
		Events    []plainEvent    `json:"events"`
	}
)

func (kv plainKV) withoutNamespace(n int) etcdjson.KeyValue {
	return etcdjson.KeyValue{
		Key: string(kv.Key[n:]), Value: kv.Value,
		CreateRevision: int64(kv.CreateRevision), ModRevision: int64(kv.ModRevision),
		Version: int64(kv.Version), Lease: int64(kv.Lease),
	}
}

const namespace = "apps/"

func randomKV(r *rand.Rand) plainKV {
	value := make([]byte, r.IntN(40))
	for i := range value {
		value[i] = byte(r.Uint32())
	}
	kv := plainKV{Key: []byte(namespace + string(value[:len(value)/2])), Value: value}
	if len(value) == 0 {
		kv.Value = nil
	}
	kv.CreateRevision, kv.ModRevision = etcdjson.Int64(r.Uint64()), etcdjson.Int64(r.Uint64())
	kv.Version, kv.Lease = etcdjson.Int64(r.Uint32()), etcdjson.Int64(r.Uint64())
	return kv
}

func randomKVs(r *rand.Rand) (kvs []plainKV) {
	for range r.IntN(4) {
		kvs = append(kvs, randomKV(r))
	}
	return kvs
}

func maybeKV(r *rand.Rand) *plainKV {
	if r.IntN(2) == 0 {
		return nil
	}
	kv := randomKV(r)
	return &kv
}

func randomHeader(r *rand.Rand) etcdjson.Header {
	return etcdjson.Header{
		ClusterID: etcdjson.Uint64(r.Uint64()), MemberID: etcdjson.Uint64(r.Uint64()),
		Revision: etcdjson.Int64(r.Uint64()), RaftTerm: etcdjson.Uint64(r.Uint64()),
	}
}

func text(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func same(t *testing.T, body []byte, r *etcdjson.Reader, got, want any) {
	t.Helper()
	if err := r.End(); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\ngot  %+v\nwant %+v", body, got, want)
	}
}

func TestReaderReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	collect := func(r *etcdjson.Reader, kvs *[]etcdjson.KeyValue) func() {
		var kv etcdjson.KeyValue // shared by all keys: each must overwrite all fields
		return func() {
			r.KeyValue(&kv)
			*kvs = append(*kvs, kv)
		}
	}
	all := func(plain []plainKV) (kvs []etcdjson.KeyValue) {
		for _, kv := range plain {
			kvs = append(kvs, kv.withoutNamespace(len(namespace)))
		}
		return kvs
	}
	for range 300 {
		ranged := plainRange{randomHeader(random), randomKVs(random), random.IntN(2) == 0, 7}
		body := text(t, ranged)
		r := etcdjson.NewReader(body, len(namespace))
		var a etcdjson.RangeAnswer
		var kvs []etcdjson.KeyValue
		r.Range(&a, collect(&r, &kvs))
		want := etcdjson.RangeAnswer{Header: ranged.Header, More: ranged.More, Count: 7}
		same(t, body, &r, a, want)
		same(t, body, &r, kvs, all(ranged.KVs))

		put := plainPut{randomHeader(random), maybeKV(random)}
		body = text(t, put)
		r = etcdjson.NewReader(body, len(namespace))
		var p etcdjson.PutAnswer
		kvs = nil
		r.Put(&p, collect(&r, &kvs))
		same(t, body, &r, p, etcdjson.PutAnswer{Header: put.Header})
		var replaced []plainKV
		if put.Prev != nil {
			replaced = append(replaced, *put.Prev)
		}
		same(t, body, &r, kvs, all(replaced))

		deleted := plainDelete{randomHeader(random), math.MaxInt64, randomKVs(random)}
		body = text(t, deleted)
		r = etcdjson.NewReader(body, len(namespace))
		var d etcdjson.DeleteAnswer
		kvs = nil
		r.Delete(&d, collect(&r, &kvs))
		same(t, body, &r, d, etcdjson.DeleteAnswer{Header: deleted.Header, Deleted: math.MaxInt64})
		same(t, body, &r, kvs, all(deleted.Prev))
	}
}

func TestReaderReadsEvents(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		w := plainWatch{
			Header: randomHeader(random), WatchID: etcdjson.Int64(random.Uint32()),
			Created: random.IntN(2) == 0, Canceled: random.IntN(2) == 0,
			Fragment: random.IntN(2) == 0,
			Reason:   `a "reason"` + "\n\u2028é", Compacted: 9,
		}
		var want []etcdjson.Event
		for range random.IntN(4) {
			ev := plainEvent{KV: randomKV(random), Prev: maybeKV(random)}
			expected := etcdjson.Event{HasPrev: ev.Prev != nil}
			expected.KV = ev.KV.withoutNamespace(len(namespace))
			if expected.Deleted = random.IntN(2) == 0; expected.Deleted {
				ev.Type = "DELETE"
			}
			if ev.Prev != nil {
				expected.Prev = ev.Prev.withoutNamespace(len(namespace))
			}
			w.Events, want = append(w.Events, ev), append(want, expected)
		}
		body := text(t, map[string]any{"other": []int{1}, "result": w})
		r := etcdjson.NewReader(body, len(namespace))
		var a etcdjson.WatchAnswer
		var got []etcdjson.Event
		var ev etcdjson.Event // shared by all events: each must overwrite all fields
		if !r.Watch(&a, func() {
			r.Event(&ev)
			got = append(got, ev)
		}) {
			t.Fatalf("%s: taken for no message of a watch", body)
		}
		same(t, body, &r, a, etcdjson.WatchAnswer{
			Header: w.Header, WatchID: int64(w.WatchID), Created: w.Created, Canceled: w.Canceled,
			CancelReason: w.Reason, CompactRevision: 9, Fragment: w.Fragment,
		})
		same(t, body, &r, got, want)
	}
	for _, other := range []string{`{"error":{"code":5}}`, `{"result":null}`, `{}`, `null`} {
		r := etcdjson.NewReader([]byte(other), 0)
		if r.Watch(new(etcdjson.WatchAnswer), func() {}) || r.End() != nil {
			t.Errorf("%s: %v", other, r.End())
		}
	}
}

func readRange(r *etcdjson.Reader) {
	r.Range(new(etcdjson.RangeAnswer), func() { r.KeyValue(new(etcdjson.KeyValue)) })
}

func readPut(r *etcdjson.Reader) {
	r.Put(new(etcdjson.PutAnswer), func() { r.KeyValue(new(etcdjson.KeyValue)) })
}

// readTxn reads a transaction with its nested ones and appends the kinds of operations in order.
func readTxn(r *etcdjson.Reader, kinds *[]etcdjson.Op) {
	r.Txn(new(etcdjson.TxnAnswer), func() {
		r.Op(func(kind etcdjson.Op) {
			*kinds = append(*kinds, kind)
			switch kind {
			case etcdjson.Range:
				readRange(r)
			case etcdjson.Put:
				readPut(r)
			case etcdjson.Delete:
				r.Delete(new(etcdjson.DeleteAnswer), func() { r.KeyValue(new(etcdjson.KeyValue)) })
			case etcdjson.Txn:
				readTxn(r, kinds)
			}
		})
	})
}

func TestReaderReadsNestedTransactions(t *testing.T) {
	t.Parallel()
	body := `{"succeeded":true,"responses":[{"response_put":{}},{"response_txn":{"responses":[` +
		`{"response_range":{"count":"1"}},{"response_put":null},{"x":1}]}},` +
		`{"response_delete_range":{}}]}`
	r := etcdjson.NewReader([]byte(body), 0)
	var kinds []etcdjson.Op
	readTxn(&r, &kinds)
	want := []etcdjson.Op{etcdjson.Put, etcdjson.Txn, etcdjson.Range, etcdjson.Delete}
	same(t, []byte(body), &r, kinds, want)
}

func TestReaderRefusesKeysOutsideOfTheNamespace(t *testing.T) {
	t.Parallel()
	r := etcdjson.NewReader([]byte(`{"kvs":[{"key":"YXBw"}]}`), len(namespace))
	readRange(&r)
	if err := r.End(); err == nil || !strings.Contains(err.Error(), "outside of the namespace") {
		t.Errorf("error %v", err)
	}
}

// FuzzReader checks that a Reader ends, and that each text that it accepts as any answer is JSON.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ``, `null`, `{} x`, `{}{}`, `{"x":[1,{"y":.5}]}`, `{"x":1,}`,
		`{"more":tru}`, `{"x":"\q"}`, `{"x":"`,
		`{"kvs":[{"key":"aw==","value":"/w","lease":"7"}],"more":true,"count":9}`,
		`{"kvs":[null,{}]}`,
		`{"responses":[{"response_txn":{"responses":[{"response_range":{"kvs":[{"key":"\/w=="}]}}]}}]}`,
		`{"result":{"events":[{"type":"DELETE","kv":{"key":"aw=="},"prev_kv":null}],` +
			`"watch_id":"1"}}`,
		strings.Repeat(`{"responses":[`, 2000), `{"header":{"cluster_id":"18446744073709551616"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for name, read := range map[string]func(r *etcdjson.Reader){
			"range": readRange,
			"put":   readPut,
			"txn":   func(r *etcdjson.Reader) { readTxn(r, new([]etcdjson.Op)) },
			"watch": func(r *etcdjson.Reader) {
				r.Watch(new(etcdjson.WatchAnswer), func() { r.Event(new(etcdjson.Event)) })
			},
		} {
			r := etcdjson.NewReader([]byte(body), 0)
			if read(&r); r.End() == nil && !json.Valid([]byte(body)) {
				t.Errorf("%s: taken although it is no JSON", name)
			}
		}
	})
}
