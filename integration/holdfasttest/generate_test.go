package holdfasttest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// request is a request to one path.
type request struct {
	path string
	body []byte
}

func (r request) String() string { return r.path + " " + string(r.body) }

// object is a JSON object.
type object = map[string]any

// generator draws requests. Keys, values, leases and revisions are few, so that they meet.
type generator struct {
	*rand.Rand
	rev       int64 // the newest revision of the store
	compacted int64
	ordered   bool // no range ends before it begins
	simple    bool // no transaction has another one in it, or a put with a lease or an earlier value
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 1)), rev: 1}
}

// pick draws one of the values.
func pick[T any](g *generator, values ...T) T { return values[g.IntN(len(values))] }

// one reports true once in n draws.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func (g *generator) key() []byte {
	if g.one(60) {
		return pick(g, []byte{}, []byte{0}, []byte{0xff, 0xfe}, []byte("k"))
	}
	return []byte("k/" + strconv.Itoa(g.IntN(12)))
}

// span draws a range: a key, a prefix, all keys from one, or a range that may be empty.
func (g *generator) span(o object) object {
	o["key"] = g.key()
	switch g.IntN(4) {
	case 0:
		o["key"], o["range_end"] = []byte("k/"), []byte("k0")
	case 1:
		end := g.key()
		if from := o["key"].([]byte); g.ordered && bytes.Compare(from, end) >= 0 {
			end = append(bytes.Clone(from), 0xff)
		}
		o["range_end"] = end
	case 2:
		if g.one(4) {
			o["range_end"] = []byte{0}
		}
	}
	return o
}

func (g *generator) value() []byte {
	return pick(g, []byte{}, []byte("a"), []byte("b"), []byte("bb"), []byte{0, 0xff})
}

func (g *generator) lease() string { return strconv.Itoa(1 + g.IntN(6)) }

// revision draws a revision that is mostly readable.
func (g *generator) revision() string {
	switch g.IntN(8) {
	case 0:
		return strconv.FormatInt(g.rev+1, 10)
	case 1:
		return strconv.FormatInt(max(1, g.compacted-1), 10)
	case 2:
		return strconv.FormatInt(max(1, g.compacted), 10)
	}
	return strconv.FormatInt(max(1, g.rev-int64(g.IntN(40))), 10)
}

func (g *generator) get() object {
	o := g.span(object{})
	if g.one(3) {
		o["limit"] = strconv.Itoa(1 + g.IntN(5))
	}
	if g.one(3) {
		o["sort_target"] = pick(g, "KEY", "VERSION", "CREATE", "MOD", "VALUE")
	}
	if g.one(3) {
		o["sort_order"] = pick(g, "NONE", "ASCEND", "DESCEND")
	}
	for _, name := range []string{"keys_only", "count_only", "serializable"} {
		if g.one(6) {
			o[name] = true
		}
	}
	for _, bound := range []string{
		"min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision",
	} {
		if g.one(12) {
			o[bound] = g.revision()
		}
	}
	if g.one(4) {
		o["revision"] = g.revision()
	}
	return o
}

// put draws a put. With plain it builds on no earlier value: etcd stops if a transaction deletes
// that.
func (g *generator) put(plain bool) object {
	o := object{"key": g.key(), "value": g.value()}
	if g.one(3) {
		o["lease"] = g.lease()
	}
	if g.one(4) {
		o["prev_kv"] = true
	}
	if !plain && g.one(10) {
		o["ignore_value"] = true
		if !g.one(4) {
			delete(o, "value")
		}
	}
	if !plain && g.one(10) {
		o["ignore_lease"] = true
		if !g.one(4) {
			delete(o, "lease")
		}
	}
	return o
}

func (g *generator) del() object {
	o := g.span(object{})
	if g.one(2) && o["range_end"] != nil { // an empty store shows little
		o["key"] = g.key()
		delete(o, "range_end")
	}
	if g.one(4) {
		o["prev_kv"] = true
	}
	return o
}

func (g *generator) compare() object {
	o := object{"key": g.key(), "target": pick(g, "VERSION", "CREATE", "MOD", "VALUE", "LEASE")}
	if g.one(5) {
		o = g.span(o)
	}
	if !g.one(3) {
		o["result"] = pick(g, "EQUAL", "NOT_EQUAL", "LESS", "GREATER")
	}
	switch o["target"] {
	case "VERSION":
		o["version"] = strconv.Itoa(g.IntN(4))
	case "CREATE":
		o["create_revision"] = pick(g, "0", g.revision())
	case "MOD":
		o["mod_revision"] = pick(g, "0", g.revision())
	case "VALUE":
		o["value"] = g.value()
	case "LEASE":
		o["lease"] = pick(g, "0", g.lease())
	}
	return o
}

func (g *generator) txn(depth int) object {
	o := object{}
	var compares []object
	for range g.IntN(3) {
		compares = append(compares, g.compare())
	}
	o["compare"] = compares
	for _, branch := range []string{"success", "failure"} {
		var ops []object
		for range g.IntN(4) {
			ops = append(ops, g.op(depth))
		}
		if g.one(200) { // too many
			for range 130 {
				ops = append(ops, object{"request_range": g.get()})
			}
		}
		o[branch] = ops
	}
	return o
}

func (g *generator) op(depth int) object {
	switch n := g.IntN(20); {
	case n < 7:
		return object{"request_range": g.get()}
	case n < 14:
		put := g.put(!g.one(3))
		if g.simple {
			delete(put, "prev_kv")
			delete(put, "lease")
		}
		return object{"request_put": put}
	case n < 17:
		o := g.del()
		if end, ok := o["range_end"].([]byte); ok && len(end) == 1 {
			delete(o, "range_end") // etcd compares such an end with puts in two ways
		}
		return object{"request_delete_range": o}
	case n < 19 && depth > 0 && !g.simple:
		return object{"request_txn": g.txn(depth - 1)}
	case n == 19 && g.one(4):
		return object{}
	}
	return object{"request_range": g.get()}
}

// next draws a request that has one answer.
func (g *generator) next() request {
	switch n := g.IntN(100); {
	case n < 28:
		return encode("/kv/put", g.put(false))
	case n < 50:
		return encode("/kv/range", g.get())
	case n < 58:
		return encode("/kv/deleterange", g.del())
	case n < 85:
		return encode("/kv/txn", g.txn(2))
	case n < 91:
		ttl := strconv.Itoa(1000 + g.IntN(1000))
		if g.one(10) {
			ttl = pick(g, "9000000001", "9000000000")
		}
		return encode("/lease/grant", object{"ID": g.lease(), "TTL": ttl})
	case n < 94:
		return encode("/lease/revoke", object{"ID": g.lease()})
	case n < 97:
		return encode("/lease/timetolive", object{"ID": g.lease(), "keys": g.one(2)})
	case n < 98:
		return encode("/lease/leases", object{})
	}
	r := encode("/lease/keepalive", object{"ID": g.lease()})
	return r
}

func (g *generator) compaction() request {
	return encode("/kv/compaction", object{"revision": g.revision(), "physical": g.one(2)})
}

// watch draws a request for a watch with an ID.
func (g *generator) watch(id int) object {
	o := g.span(object{"watch_id": strconv.Itoa(id)})
	if g.one(2) {
		o["start_revision"] = g.revision()
	}
	if g.one(3) {
		o["prev_kv"] = true
	}
	switch g.IntN(6) {
	case 0:
		o["filters"] = []string{"NOPUT"}
	case 1:
		o["filters"] = []string{"NODELETE"}
	}
	return object{"create_request": o}
}

func encode(path string, body object) request {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprint(path, ": ", err))
	}
	return request{path, text}
}
