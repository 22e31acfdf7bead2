package etcdjson

// RangeRequest reads keys. Zero fields are left out, as in all requests.
type RangeRequest struct {
	Key, End                   string
	Limit, Revision            int64
	SortOrder, SortTarget      string
	Serializable               bool
	KeysOnly, CountOnly        bool
	MinModRev, MaxModRev       int64
	MinCreateRev, MaxCreateRev int64
}

// PutRequest puts a key.
type PutRequest struct {
	Key         string
	Value       []byte
	Lease       int64
	PrevKV      bool
	IgnoreValue bool
	IgnoreLease bool
}

// DeleteRequest deletes keys.
type DeleteRequest struct {
	Key, End string
	PrevKV   bool
}

// Compare is a condition of a transaction. It compares Value if Target is TargetValue, and else
// Number.
type Compare struct {
	Key, End string
	Relation string
	Target   string
	Number   int64
	Value    []byte
}

// The targets of a [Compare].
const (
	TargetCreate  = "CREATE"
	TargetMod     = "MOD"
	TargetVersion = "VERSION"
	TargetLease   = "LEASE"
	TargetValue   = "VALUE"
)

// Equal is the default relation of a [Compare] in etcd.
const Equal = "EQUAL"

// Op is the kind of an operation of a transaction.
type Op uint8

// The kinds of operations.
const (
	Range Op = iota
	Put
	Delete
	Txn
)

// The lists of a transaction, for [Writer.BeginList].
const (
	Compares = "compare"
	Success  = "success"
	Failure  = "failure"
)

// Range writes a range request.
func (w *Writer) Range(r *RangeRequest) {
	w.Begin()
	w.text("key", r.Key)
	w.text("range_end", r.End)
	w.int("limit", r.Limit)
	w.int("revision", r.Revision)
	w.plain("sort_order", r.SortOrder)
	w.plain("sort_target", r.SortTarget)
	w.bool("serializable", r.Serializable)
	w.bool("keys_only", r.KeysOnly)
	w.bool("count_only", r.CountOnly)
	w.int("min_mod_revision", r.MinModRev)
	w.int("max_mod_revision", r.MaxModRev)
	w.int("min_create_revision", r.MinCreateRev)
	w.int("max_create_revision", r.MaxCreateRev)
	w.End()
}

// Put writes a put request.
func (w *Writer) Put(r *PutRequest) {
	w.Begin()
	w.text("key", r.Key)
	w.bytes("value", r.Value)
	w.int("lease", r.Lease)
	w.bool("prev_kv", r.PrevKV)
	w.bool("ignore_value", r.IgnoreValue)
	w.bool("ignore_lease", r.IgnoreLease)
	w.End()
}

// Delete writes a delete request.
func (w *Writer) Delete(r *DeleteRequest) {
	w.Begin()
	w.text("key", r.Key)
	w.text("range_end", r.End)
	w.bool("prev_kv", r.PrevKV)
	w.End()
}

// Compare writes a condition. It returns false, and leaves the text incomplete, if c.Target is
// unknown.
func (w *Writer) Compare(c *Compare) bool {
	w.Begin()
	if c.Relation != Equal {
		w.plain("result", c.Relation)
	}
	w.plain("target", c.Target)
	w.text("key", c.Key)
	w.text("range_end", c.End)
	switch c.Target {
	case TargetCreate:
		w.int("create_revision", c.Number)
	case TargetMod:
		w.int("mod_revision", c.Number)
	case TargetVersion:
		w.int("version", c.Number)
	case TargetLease:
		w.int("lease", c.Number)
	case TargetValue:
		w.bytes("value", c.Value)
	default:
		return false
	}
	w.End()
	return true
}

// BeginOp begins an operation of a transaction. The method of its kind must write the operation
// next.
func (w *Writer) BeginOp(kind Op) {
	w.Begin()
	switch kind {
	case Range:
		w.name("request_range")
	case Put:
		w.name("request_put")
	case Delete:
		w.name("request_delete_range")
	case Txn:
		w.name("request_txn")
	}
}
