package gateway

import (
	"bytes"
	"errors"
	"math"
	"slices"
)

// Op is one operation, to be run alone or in a [Txn]. [OpGet], [OpPut], [OpDelete] and [OpTxn]
// create one. It is a value that may be copied and used again.
type Op struct {
	kind opKind
	span spanKind

	key      string
	end      string
	value    []byte
	txn      *Txn
	revision int64
	limit    int64
	lease    LeaseID
	choice   *choice // nil for most operations

	keysOnly     bool
	countOnly    bool
	serializable bool
	ignoreValue  bool
	ignoreLease  bool
	prevKV       bool
	noPut        bool
	noDelete     bool
	notify       bool
	patient      bool
	physical     bool

	wrong string // why its options are invalid
}

// choice holds the options of a read that choose or order its keys. It is never changed, because
// copies of an operation share it.
type choice struct {
	minMod, maxMod       int64
	minCreate, maxCreate int64
	sorted               bool
	sortTarget           SortTarget
	sortOrder            SortOrder
	after                string // only keys behind this one
}

// choose returns the operation with a changed choice.
func (o Op) choose(set func(*choice)) Op {
	c := o.chosen()
	set(&c)
	o.choice = &c
	return o
}

func (o *Op) chosen() choice {
	if o.choice == nil {
		return choice{}
	}
	return *o.choice
}

type spanKind uint8

const (
	spanKey spanKind = iota
	spanPrefix
	spanRange
	spanFrom
)

// OpGet is a [Client.Get] as an operation. Invalid options are reported by the call that uses it.
func OpGet(key string, opts ...Option) Op { return Op{kind: kindGet, key: key}.with(opts) }

// OpPut is a [Client.Put] as an operation. Invalid options are reported by the call that uses it.
// The value is copied.
func OpPut(key string, value []byte, opts ...Option) Op {
	return Op{kind: kindPut, key: key, value: bytes.Clone(value)}.with(opts)
}

// OpDelete is a [Client.Delete] as an operation. Invalid options are reported by the call that uses
// it.
func OpDelete(key string, opts ...Option) Op { return Op{kind: kindDelete, key: key}.with(opts) }

// OpTxn nests a transaction. All compares, nested ones included, see the state before the outermost
// transaction.
func OpTxn(t Txn) Op { return Op{kind: kindTxn, txn: &t} }

func opWatch(key string, opts []Option) Op { return Op{kind: kindWatch, key: key}.with(opts) }

func (o Op) with(opts []Option) Op {
	for _, opt := range opts {
		if opt.on&o.kind == 0 {
			o.wrong = "option " + opt.name + " does not apply"
			return o
		}
		if o = opt.set(o); o.wrong != "" {
			return o
		}
	}
	o.wrong = o.conflict()
	return o
}

// conflict returns why options exclude each other. Options that etcd would ignore are rejected
// here.
func (o *Op) conflict() string {
	c := o.chosen()
	filtered := c.minMod != 0 || c.maxMod != 0 || c.minCreate != 0 || c.maxCreate != 0
	switch {
	case min(o.limit, o.revision, c.minMod, c.maxMod, c.minCreate, c.maxCreate) < 0:
		return "negative limit or revision"
	case o.countOnly && (o.limit != 0 || c.sorted || o.keysOnly || filtered):
		return "option CountOnly counts all keys, whatever the options that choose or order them"
	case c.sorted && !slices.Contains(sortTargets, c.sortTarget):
		return "option SortBy: no such target"
	case c.sorted && c.sortOrder != Ascend && c.sortOrder != Descend:
		return "option SortBy: no such order"
	case o.ignoreValue && len(o.value) > 0:
		return "option IgnoreValue, and a value"
	case o.ignoreLease && o.lease != 0:
		return "options WithLease and IgnoreLease exclude each other"
	}
	return ""
}

var sortTargets = []SortTarget{SortKey, SortVersion, SortCreateRevision, SortModRevision, SortValue}

// readOnly reports whether the operation can be repeated without effect.
func (o *Op) readOnly() bool {
	return o.kind == kindGet || o.kind == kindTxn && o.txn.readOnly()
}

func (t *Txn) readOnly() bool {
	for _, ops := range [][]Op{t.Then, t.Else} {
		for i := range ops {
			if !ops[i].readOnly() {
				return false
			}
		}
	}
	return true
}

// local reports whether a member answers the transaction from its own copy: etcd does, also for
// compares alone, unless one operation needs more.
func (t *Txn) local() bool {
	for _, ops := range [][]Op{t.Then, t.Else} {
		for i := range ops {
			if o := &ops[i]; o.kind != kindGet || !o.serializable {
				return false
			}
		}
	}
	return true
}

// bounds returns the key and range_end to send: "" for a single key, "\x00" for no upper end.
func bounds(ns, key string, span spanKind, end string) (from, to string, err error) {
	if key == "" && span != spanPrefix && span != spanFrom {
		return "", "", errors.New("empty key")
	}
	switch span {
	case spanKey:
		return ns + key, "", nil
	case spanRange:
		if end <= key {
			return "", "", errors.New("empty range")
		}
		return ns + key, ns + end, nil
	case spanPrefix:
		from, to = ns+key, prefixEnd(ns+key)
	case spanFrom:
		from, to = ns+key, prefixEnd(ns)
	}
	if from == "" {
		from = "\x00"
	}
	return from, to, nil
}

// prefixEnd is the first key after all keys with the prefix; "\x00" stands for no upper end.
func prefixEnd(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < math.MaxUint8 {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return "\x00"
}

func bytesOrNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
