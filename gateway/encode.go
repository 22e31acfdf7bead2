package gateway

import (
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// encoder writes requests about keys, with the namespace before them.
type encoder struct {
	*etcdjson.Writer
	ns string
}

func newEncoder(ns string, ops int) encoder { return encoder{etcdjson.NewWriter(ops), ns} }

func (e encoder) txn(t *Txn) error {
	e.Begin()
	if len(t.If) > 0 {
		e.BeginList(etcdjson.Compares)
		for i := range t.If {
			if err := e.compare(&t.If[i]); err != nil {
				return err
			}
		}
		e.EndList()
	}
	if err := e.ops(etcdjson.Success, t.Then); err != nil {
		return err
	}
	if err := e.ops(etcdjson.Failure, t.Else); err != nil {
		return err
	}
	e.End()
	return nil
}

func (e encoder) compare(c *Cmp) error {
	if !slices.Contains(relations, c.rel) { // etcd 3.6 and later would treat it as Equal
		return errors.New("a compare with a relation that is none")
	}
	from, to, err := bounds(e.ns, c.key, c.span, c.end)
	if err != nil {
		return err
	}
	if !e.Compare(&etcdjson.Compare{
		Key: from, End: to, Relation: string(c.rel), Target: c.target,
		Number: c.number, Value: c.value,
	}) {
		return errors.New("a compare that is none")
	}
	return nil
}

func (e encoder) ops(list string, ops []Op) error {
	if len(ops) == 0 {
		return nil
	}
	e.BeginList(list)
	for i := range ops {
		e.BeginOp(ops[i].kind.wire())
		if err := e.op(&ops[i]); err != nil {
			return err
		}
		e.End()
	}
	e.EndList()
	return nil
}

func (k opKind) wire() etcdjson.Op {
	switch k {
	case kindGet:
		return etcdjson.Range
	case kindPut:
		return etcdjson.Put
	case kindDelete:
		return etcdjson.Delete
	default:
		return etcdjson.Txn
	}
}

func (e encoder) op(o *Op) error {
	if o.wrong != "" {
		return errors.New(o.wrong)
	}
	if o.kind == kindTxn {
		return e.txn(o.txn)
	}
	from, to, err := bounds(e.ns, o.key, o.span, o.end)
	if err != nil {
		return err
	}
	switch o.kind {
	case kindGet:
		c := o.chosen()
		if c.after != "" {
			from = e.ns + c.after + "\x00"
		}
		e.Range(&etcdjson.RangeRequest{
			Key: from, End: to, Limit: o.limit, Revision: o.revision,
			SortOrder: string(c.sortOrder), SortTarget: string(c.sortTarget),
			Serializable: o.serializable, KeysOnly: o.keysOnly, CountOnly: o.countOnly,
			MinModRev: c.minMod, MaxModRev: c.maxMod,
			MinCreateRev: c.minCreate, MaxCreateRev: c.maxCreate,
		})
	case kindPut:
		e.Put(&etcdjson.PutRequest{
			Key: from, Value: o.value, Lease: int64(o.lease),
			PrevKV: o.prevKV, IgnoreValue: o.ignoreValue, IgnoreLease: o.ignoreLease,
		})
	case kindDelete:
		e.Delete(&etcdjson.DeleteRequest{Key: from, End: to, PrevKV: o.prevKV})
	default:
		return errors.New("an operation that is none: use OpGet, OpPut, OpDelete or OpTxn")
	}
	return nil
}
