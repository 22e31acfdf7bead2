package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The JSON of the gateway: snake_case, 64-bit numbers as strings, bytes as base64, zero fields left out.

// number is a 64-bit integer that comes as a JSON string or as a JSON number.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("integer: %w", errors.Unwrap(err))
	}
	*n = number(v)
	return nil
}

// ident is an unsigned 64-bit identity (cluster, member); some are larger than any int64.
type ident uint64

func (n *ident) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseUint(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("identity: %w", errors.Unwrap(err))
	}
	*n = ident(v)
	return nil
}

// blob is bytes in base64 of either alphabet, padded or not.
type blob []byte

func (v *blob) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) < 2 || b[0] != '"' {
		return errors.New("base64 expected")
	}
	var s string
	if bytes.IndexByte(b, '\\') >= 0 { // "\/" and the like
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	} else {
		s = string(b[1 : len(b)-1])
	}
	var err error
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		var d []byte
		if d, err = enc.DecodeString(s); err == nil {
			*v = d
			return nil
		}
	}
	return err
}

type wireHeader struct {
	ClusterID ident  `json:"cluster_id"`
	MemberID  ident  `json:"member_id"`
	Revision  number `json:"revision"`
	RaftTerm  ident  `json:"raft_term"`
}

func (h wireHeader) public() Header {
	return Header{
		ClusterID: uint64(h.ClusterID), MemberID: uint64(h.MemberID),
		Revision: int64(h.Revision), RaftTerm: uint64(h.RaftTerm),
	}
}

type wireKV struct {
	Key            blob   `json:"key"`
	Value          blob   `json:"value"`
	CreateRevision number `json:"create_revision"`
	ModRevision    number `json:"mod_revision"`
	Version        number `json:"version"`
	Lease          number `json:"lease"`
}

type wireRange struct {
	Key          []byte `json:"key"`
	RangeEnd     []byte `json:"range_end,omitempty"`
	Limit        int64  `json:"limit,omitempty,string"`
	Revision     int64  `json:"revision,omitempty,string"`
	SortOrder    string `json:"sort_order,omitempty"`
	SortTarget   string `json:"sort_target,omitempty"`
	Serializable bool   `json:"serializable,omitempty"`
	KeysOnly     bool   `json:"keys_only,omitempty"`
	CountOnly    bool   `json:"count_only,omitempty"`
	MinMod       int64  `json:"min_mod_revision,omitempty,string"`
	MaxMod       int64  `json:"max_mod_revision,omitempty,string"`
	MinCreate    int64  `json:"min_create_revision,omitempty,string"`
	MaxCreate    int64  `json:"max_create_revision,omitempty,string"`
}

type wirePut struct {
	Key         []byte `json:"key"`
	Value       []byte `json:"value,omitempty"`
	Lease       int64  `json:"lease,omitempty,string"`
	PrevKV      bool   `json:"prev_kv,omitempty"`
	IgnoreValue bool   `json:"ignore_value,omitempty"`
	IgnoreLease bool   `json:"ignore_lease,omitempty"`
}

type wireDelete struct {
	Key      []byte `json:"key"`
	RangeEnd []byte `json:"range_end,omitempty"`
	PrevKV   bool   `json:"prev_kv,omitempty"`
}

type wireCompare struct {
	Result         string `json:"result"`
	Target         string `json:"target"`
	Key            []byte `json:"key"`
	RangeEnd       []byte `json:"range_end,omitempty"`
	CreateRevision int64  `json:"create_revision,omitempty,string"`
	ModRevision    int64  `json:"mod_revision,omitempty,string"`
	Version        int64  `json:"version,omitempty,string"`
	Lease          int64  `json:"lease,omitempty,string"`
	Value          []byte `json:"value,omitempty"`
}

type wireOp struct {
	Range  *wireRange  `json:"request_range,omitempty"`
	Put    *wirePut    `json:"request_put,omitempty"`
	Delete *wireDelete `json:"request_delete_range,omitempty"`
	Txn    *wireTxn    `json:"request_txn,omitempty"`
}

type wireTxn struct {
	Compare []wireCompare `json:"compare,omitempty"`
	Success []wireOp      `json:"success,omitempty"`
	Failure []wireOp      `json:"failure,omitempty"`
}

type wireRangeAnswer struct {
	Header wireHeader `json:"header"`
	KVs    []wireKV   `json:"kvs"`
	More   bool       `json:"more"`
	Count  number     `json:"count"`
}

type wirePutAnswer struct {
	Header wireHeader `json:"header"`
	PrevKV *wireKV    `json:"prev_kv"`
}

type wireDeleteAnswer struct {
	Header  wireHeader `json:"header"`
	Deleted number     `json:"deleted"`
	PrevKVs []wireKV   `json:"prev_kvs"`
}

type wireOpAnswer struct {
	Range  *wireRangeAnswer  `json:"response_range"`
	Put    *wirePutAnswer    `json:"response_put"`
	Delete *wireDeleteAnswer `json:"response_delete_range"`
	Txn    *wireTxnAnswer    `json:"response_txn"`
}

type wireTxnAnswer struct {
	Header    wireHeader     `json:"header"`
	Succeeded bool           `json:"succeeded"`
	Responses []wireOpAnswer `json:"responses"`
}

// wireError reads every shape that a gateway gives an error: {"code","message"} (3.6, 3.7), {"error":"text","code"}
// (3.4, 3.5), and on a stream {"error":{"grpc_code"|"code","message"}}.
type wireError struct {
	Code     int    `json:"code"`
	GRPCCode int    `json:"grpc_code"`
	Message  string `json:"message"`
}

func decodeError(body []byte) (Code, string, bool) {
	var top struct {
		wireError
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &top) != nil {
		return 0, "", false
	}
	var inner wireError
	var text string
	if json.Unmarshal(top.Error, &inner) != nil {
		_ = json.Unmarshal(top.Error, &text) // whatever it is, it is no error text then
	}
	for _, code := range []int{top.Code, inner.Code, inner.GRPCCode} {
		if code <= 0 || code > int(CodeUnauthenticated) { // somebody else's JSON
			continue
		}
		for _, m := range []string{top.Message, inner.Message, text} {
			if m != "" {
				return rawCode(Code(code), m), clean(m), true
			}
		}
		return Code(code), "", true
	}
	return 0, "", false
}

func (w wireKV) public(ns int) (KeyValue, error) {
	if len(w.Key) < ns {
		return KeyValue{}, errors.New("key outside of the namespace")
	}
	return KeyValue{
		Key: string(w.Key[ns:]), Value: w.Value,
		CreateRevision: int64(w.CreateRevision), ModRevision: int64(w.ModRevision), Version: int64(w.Version),
		Lease: LeaseID(w.Lease),
	}, nil
}

func publicKVs(in []wireKV, ns int) ([]KeyValue, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]KeyValue, len(in))
	for i := range in {
		kv, err := in[i].public(ns)
		if err != nil {
			return nil, err
		}
		out[i] = kv
	}
	return out, nil
}

func (w *wireRangeAnswer) public(ns int) (*GetResponse, error) {
	kvs, err := publicKVs(w.KVs, ns)
	return &GetResponse{Header: w.Header.public(), KVs: kvs, More: w.More, Count: int64(w.Count)}, err
}

func (w *wirePutAnswer) public(ns int) (*PutResponse, error) {
	out := &PutResponse{Header: w.Header.public()}
	if w.PrevKV != nil {
		kv, err := w.PrevKV.public(ns)
		if err != nil {
			return nil, err
		}
		out.PrevKV = &kv
	}
	return out, nil
}

func (w *wireDeleteAnswer) public(ns int) (*DeleteResponse, error) {
	kvs, err := publicKVs(w.PrevKVs, ns)
	return &DeleteResponse{Header: w.Header.public(), Deleted: int64(w.Deleted), PrevKVs: kvs}, err
}

// public checks the answer against the transaction that was sent: each operation must have got an answer of its kind.
func (w *wireTxnAnswer) public(sent wireTxn, ns int) (*TxnResponse, error) {
	ops := sent.Failure
	if w.Succeeded {
		ops = sent.Success
	}
	if len(ops) != len(w.Responses) {
		return nil, fmt.Errorf("txn: %d answers to %d operations", len(w.Responses), len(ops))
	}
	out := &TxnResponse{Header: w.Header.public(), Succeeded: w.Succeeded, Responses: make([]OpResponse, len(ops))}
	for i, op := range ops {
		a := w.Responses[i]
		var err error
		r := &out.Responses[i]
		switch {
		case op.Range != nil && a.Range != nil:
			r.Get, err = a.Range.public(ns)
		case op.Put != nil && a.Put != nil:
			r.Put, err = a.Put.public(ns)
		case op.Delete != nil && a.Delete != nil:
			r.Delete, err = a.Delete.public(ns)
		case op.Txn != nil && a.Txn != nil:
			r.Txn, err = a.Txn.public(*op.Txn, ns)
		default:
			err = errors.New("txn: an answer of another kind than its operation")
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
