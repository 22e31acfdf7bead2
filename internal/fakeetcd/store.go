package fakeetcd

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

type object struct {
	Key     []byte `json:"key"`
	Value   []byte `json:"value,omitempty"`
	Create  int64  `json:"create_revision,omitempty,string"`
	Mod     int64  `json:"mod_revision,omitempty,string"`
	Version int64  `json:"version,omitempty,string"`
	Lease   int64  `json:"lease,omitempty,string"`
}

type event struct {
	Type string `json:"type,omitempty"`
	KV   object `json:"kv"`
}

type store struct {
	rev, compacted int64
	kvs            map[string]object
	log            []event
	leases         map[int64]*lease
	expired        map[int64]time.Time
}

func newStore() store {
	return store{
		rev: 1, kvs: map[string]object{},
		leases: map[int64]*lease{}, expired: map[int64]time.Time{},
	}
}

func gatewayEnd(prefix string) string {
	b := []byte(prefix)
	b[len(b)-1]++
	return string(b)
}

func inRange(key, from, end string) bool {
	switch end {
	case "":
		return key == from
	case "\x00":
		return key >= from
	}
	return key >= from && key < end
}

func (s *store) find(from, end string) []object {
	var out []object
	for _, key := range slices.Sorted(maps.Keys(s.kvs)) {
		if inRange(key, from, end) {
			out = append(out, s.kvs[key])
		}
	}
	return out
}

// at returns the store as it was at a revision, from the events since the start.
func (s *store) at(rev int64) *store {
	past := newStore()
	for _, ev := range s.log {
		switch key := string(ev.KV.Key); {
		case ev.KV.Mod > rev:
			return &past
		case ev.Type == "DELETE":
			delete(past.kvs, key)
		default:
			past.kvs[key] = ev.KV
		}
	}
	return &past
}

// misses reports whether the revision of a read is compacted.
func (s *store) misses(r *rangeRequest) bool { return r.Revision > 0 && r.Revision < s.compacted }

func compacted() Answer {
	return Error(gateway.CodeOutOfRange, "etcdserver: mvcc: required revision has been compacted")
}

type header struct {
	Cluster  int64 `json:"cluster_id,string"`
	Revision int64 `json:"revision,string"`
}

type rangeRequest struct {
	Key        []byte `json:"key"`
	End        []byte `json:"range_end"`
	Limit      int    `json:"limit,string"`
	SortTarget string `json:"sort_target"`
	SortOrder  string `json:"sort_order"`
	MaxCreate  int64  `json:"max_create_revision,string"`
	MinMod     int64  `json:"min_mod_revision,string"`
	Revision   int64  `json:"revision,string"`
	KeysOnly   bool   `json:"keys_only"`
	CountOnly  bool   `json:"count_only"`
}

type putRequest struct {
	Key    []byte `json:"key"`
	Value  []byte `json:"value"`
	Lease  int64  `json:"lease,string"`
	PrevKV bool   `json:"prev_kv"`
}

type deleteRequest struct {
	Key []byte `json:"key"`
	End []byte `json:"range_end"`
}

type compare struct {
	Result  string `json:"result"`
	Target  string `json:"target"`
	Key     []byte `json:"key"`
	End     []byte `json:"range_end"`
	Create  int64  `json:"create_revision,string"`
	Mod     int64  `json:"mod_revision,string"`
	Version int64  `json:"version,string"`
	Lease   int64  `json:"lease,string"`
	Value   []byte `json:"value"`
}

type operation struct {
	Range  *rangeRequest  `json:"request_range"`
	Put    *putRequest    `json:"request_put"`
	Delete *deleteRequest `json:"request_delete_range"`
	Txn    *txnRequest    `json:"request_txn"`
}

type txnRequest struct {
	Compare []compare   `json:"compare"`
	Success []operation `json:"success"`
	Failure []operation `json:"failure"`

	// holds is the outcome of the comparisons, which see the state before the outermost
	// transaction.
	holds bool
}

// fields are the JSON fields of a response.
type fields = map[string]any

func (s *store) holds(c *compare) bool {
	found := s.find(string(c.Key), string(c.End))
	if len(found) == 0 {
		if c.Target == "VALUE" {
			return false
		}
		found = []object{{}}
	}
	for _, o := range found {
		var sign int
		switch c.Target {
		case "CREATE":
			sign = int(o.Create - c.Create)
		case "MOD":
			sign = int(o.Mod - c.Mod)
		case "VERSION":
			sign = int(o.Version - c.Version)
		case "LEASE":
			if sign = 0; o.Lease != c.Lease {
				sign = 1
			}
		case "VALUE":
			sign = bytes.Compare(o.Value, c.Value)
		}
		ok := map[string]bool{
			"": sign == 0, "EQUAL": sign == 0, "NOT_EQUAL": sign != 0,
			"LESS": sign < 0, "GREATER": sign > 0,
		}[c.Result]
		if !ok {
			return false
		}
	}
	return true
}

// plan selects the branches to run, and reports whether the leases of all their puts exist.
func (s *store) plan(t *txnRequest) bool {
	t.holds = true
	for i := range t.Compare {
		t.holds = t.holds && s.holds(&t.Compare[i])
	}
	for _, op := range t.branch() {
		switch {
		case op.Put != nil && op.Put.Lease != 0 && s.leases[op.Put.Lease] == nil:
			return false
		case op.Txn != nil && !s.plan(op.Txn):
			return false
		}
	}
	return true
}

func (t *txnRequest) branch() []operation {
	if t.holds {
		return t.Success
	}
	return t.Failure
}

// change is a revision that is not yet committed.
type change struct {
	s      *store
	rev    int64
	events []event
}

func (s *store) begin() *change { return &change{s: s, rev: s.rev + 1} }

func (t *change) put(r *putRequest) fields {
	key := string(r.Key)
	prev, existed := t.s.kvs[key]
	next := object{
		Key: r.Key, Value: r.Value, Create: prev.Create, Mod: t.rev, Version: prev.Version + 1,
		Lease: r.Lease,
	}
	if !existed {
		next.Create = t.rev
	}
	t.s.kvs[key] = next
	t.events = append(t.events, event{KV: next})
	if r.PrevKV && existed {
		return fields{"prev_kv": prev}
	}
	return fields{}
}

func (t *change) delete(r *deleteRequest) fields {
	found := t.s.find(string(r.Key), string(r.End))
	for _, o := range found {
		delete(t.s.kvs, string(o.Key))
		t.events = append(t.events, event{Type: "DELETE", KV: object{Key: o.Key, Mod: t.rev}})
	}
	return fields{"deleted": len(found)}
}

func (t *change) get(r *rangeRequest) fields {
	found := t.s.find(string(r.Key), string(r.End))
	if r.Revision > 0 {
		past := t.s.at(r.Revision)
		found = past.find(string(r.Key), string(r.End))
	}
	if r.SortTarget == "CREATE" {
		slices.SortStableFunc(found, func(a, b object) int { return int(a.Create - b.Create) })
	}
	if r.SortOrder == "DESCEND" {
		slices.Reverse(found)
	}
	out := fields{"count": len(found)} // before the filter and the limit, like etcd's
	if r.MaxCreate > 0 {
		found = slices.DeleteFunc(found, func(o object) bool { return o.Create > r.MaxCreate })
	}
	found = slices.DeleteFunc(found, func(o object) bool { return o.Mod < r.MinMod })
	if r.Limit > 0 && len(found) > r.Limit {
		found, out["more"] = found[:r.Limit], true
	}
	if r.KeysOnly {
		for i := range found {
			found[i].Value, found[i].Lease = nil, 0 // like etcd 3.7
		}
	}
	if !r.CountOnly {
		out["kvs"] = found
	}
	return out
}

func (t *change) txn(r *txnRequest) fields {
	var answers []any
	for _, op := range r.branch() {
		switch {
		case op.Range != nil:
			answers = append(answers, fields{"response_range": t.get(op.Range)})
		case op.Put != nil:
			answers = append(answers, fields{"response_put": t.put(op.Put)})
		case op.Delete != nil:
			answers = append(answers, fields{"response_delete_range": t.delete(op.Delete)})
		case op.Txn != nil:
			answers = append(answers, fields{"response_txn": t.txn(op.Txn)})
		}
	}
	return fields{"succeeded": r.holds, "responses": answers}
}

// commit makes a change the newest revision and sends it to the watches. mu must be held.
func (s *Server) commit(t *change) {
	if len(t.events) == 0 {
		return
	}
	s.store.rev = t.rev
	s.store.log = append(s.store.log, t.events...)
	for st := range s.streams {
		st.tell(t.events)
	}
}

func (s *Server) header() header { return header{1, s.store.rev} }

func (s *Server) answer(body fields) Answer {
	body["header"] = s.header()
	b, err := json.Marshal(body)
	if err != nil {
		return Error(gateway.CodeInternal, err.Error())
	}
	return Answer{http.StatusOK, b}
}

func (s *Server) apply(path string, body []byte) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	decoder := json.NewDecoder(bytes.NewReader(body))
	switch path {
	case "/kv/txn":
		var r txnRequest
		if err := decoder.Decode(&r); err != nil {
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		if s.full && puts(r.Success, r.Failure) {
			return noSpace()
		}
		if !s.store.plan(&r) {
			return Error(gateway.CodeNotFound, "etcdserver: requested lease not found")
		}
		for _, op := range r.branch() {
			if op.Range != nil && s.store.misses(op.Range) {
				return compacted()
			}
		}
		t := s.store.begin()
		out := t.txn(&r)
		s.commit(t)
		return s.answer(out)
	case "/kv/range":
		var r rangeRequest
		if err := decoder.Decode(&r); err != nil {
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		if s.store.misses(&r) {
			return compacted()
		}
		return s.answer(s.store.begin().get(&r))
	case "/kv/put":
		var r putRequest
		if err := decoder.Decode(&r); err != nil {
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		if s.full {
			return noSpace()
		}
		t := s.store.begin()
		out := t.put(&r)
		s.commit(t)
		return s.answer(out)
	case "/kv/deleterange":
		var r deleteRequest
		if err := decoder.Decode(&r); err != nil {
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		t := s.store.begin()
		out := t.delete(&r)
		s.commit(t)
		return s.answer(out)
	}
	return s.applyLease(path, decoder)
}
