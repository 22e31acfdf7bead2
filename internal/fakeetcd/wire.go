package fakeetcd

import "github.com/holdfast-go/holdfast/internal/etcdjson"

// The names of etcd's enumerations. An unknown name means the default, as in etcd 3.6.
const (
	ascend  = "ASCEND"
	descend = "DESCEND"

	byVersion = "VERSION"
	byCreate  = "CREATE"
	byMod     = "MOD"
	byValue   = "VALUE"
	byLease   = "LEASE"
)

type rangeRequest struct {
	Key        etcdjson.Bytes `json:"key"`
	End        etcdjson.Bytes `json:"range_end"`
	Limit      etcdjson.Int64 `json:"limit"`
	Revision   etcdjson.Int64 `json:"revision"`
	SortTarget string         `json:"sort_target"`
	SortOrder  string         `json:"sort_order"`
	MinMod     etcdjson.Int64 `json:"min_mod_revision"`
	MaxMod     etcdjson.Int64 `json:"max_mod_revision"`
	MinCreate  etcdjson.Int64 `json:"min_create_revision"`
	MaxCreate  etcdjson.Int64 `json:"max_create_revision"`
	KeysOnly   bool           `json:"keys_only"`
	CountOnly  bool           `json:"count_only"`
}

type putRequest struct {
	Key         etcdjson.Bytes `json:"key"`
	Value       etcdjson.Bytes `json:"value"`
	Lease       etcdjson.Int64 `json:"lease"`
	PrevKV      bool           `json:"prev_kv"`
	IgnoreValue bool           `json:"ignore_value"`
	IgnoreLease bool           `json:"ignore_lease"`
}

type deleteRequest struct {
	Key    etcdjson.Bytes `json:"key"`
	End    etcdjson.Bytes `json:"range_end"`
	PrevKV bool           `json:"prev_kv"`
}

type compare struct {
	Result  string         `json:"result"`
	Target  string         `json:"target"`
	Key     etcdjson.Bytes `json:"key"`
	End     etcdjson.Bytes `json:"range_end"`
	Create  etcdjson.Int64 `json:"create_revision"`
	Mod     etcdjson.Int64 `json:"mod_revision"`
	Version etcdjson.Int64 `json:"version"`
	Lease   etcdjson.Int64 `json:"lease"`
	Value   etcdjson.Bytes `json:"value"`
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

type compactRequest struct {
	Revision etcdjson.Int64 `json:"revision"`
}

// header is the header of an answer. Zero fields are left out, as in all answers.
type header struct {
	Cluster  uint64 `json:"cluster_id,omitempty,string"`
	Member   uint64 `json:"member_id,omitempty,string"`
	Revision int64  `json:"revision,omitempty,string"`
	Term     uint64 `json:"raft_term,omitempty,string"`
}

// answer is the part that all answers have.
type answer struct {
	Header header `json:"header"`
}

func (a *answer) head() *header { return &a.Header }

type rangeAnswer struct {
	answer
	KVs   []object `json:"kvs,omitempty"`
	More  bool     `json:"more,omitempty"`
	Count int      `json:"count,omitempty,string"`
}

type putAnswer struct {
	answer
	Prev *object `json:"prev_kv,omitempty"`
}

type deleteAnswer struct {
	answer
	Deleted int      `json:"deleted,omitempty,string"`
	Prev    []object `json:"prev_kvs,omitempty"`
}

type txnAnswer struct {
	answer
	Succeeded bool       `json:"succeeded,omitempty"`
	Responses []opAnswer `json:"responses,omitempty"`
}

type opAnswer struct {
	Range  *rangeAnswer  `json:"response_range,omitempty"`
	Put    *putAnswer    `json:"response_put,omitempty"`
	Delete *deleteAnswer `json:"response_delete_range,omitempty"`
	Txn    *txnAnswer    `json:"response_txn,omitempty"`
}

// fields are the JSON fields of a message of a stream.
type fields = map[string]any
