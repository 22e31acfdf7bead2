package fakeetcd

import (
	"bytes"
	"cmp"
)

// holds reports whether a comparison holds for every key of its range. A range without keys counts
// as one key that does not exist.
func (s *store) holds(c *compare) bool {
	found := s.find(string(c.Key), string(c.End), s.rev)
	if len(found) == 0 {
		if c.Target == byValue {
			return false
		}
		found = []object{{}}
	}
	for _, o := range found {
		if !c.accepts(c.sign(o)) {
			return false
		}
	}
	return true
}

// sign compares a key with the wanted value.
func (c *compare) sign(o object) int {
	switch c.Target {
	case byCreate:
		return cmp.Compare(o.Create, int64(c.Create))
	case byMod:
		return cmp.Compare(o.Mod, int64(c.Mod))
	case byLease:
		return cmp.Compare(o.Lease, int64(c.Lease))
	case byValue:
		return bytes.Compare(o.Value, c.Value)
	}
	return cmp.Compare(o.Version, int64(c.Version))
}

func (c *compare) accepts(sign int) bool {
	switch c.Result {
	case "NOT_EQUAL":
		return sign != 0
	case "LESS":
		return sign < 0
	case "GREATER":
		return sign > 0
	}
	return sign == 0
}

// decide compares, also in the nested transactions of the chosen branches, before any operation
// runs.
func (s *store) decide(t *txnRequest) {
	t.holds = true
	for i := range t.Compare {
		t.holds = t.holds && s.holds(&t.Compare[i])
	}
	for _, op := range t.branch() {
		if op.Txn != nil {
			s.decide(op.Txn)
		}
	}
}

func (t *txnRequest) branch() []operation {
	if t.holds {
		return t.Success
	}
	return t.Failure
}

func (t *change) txn(r *txnRequest) *txnAnswer {
	out := &txnAnswer{Succeeded: r.holds}
	for _, op := range r.branch() {
		var a opAnswer
		switch {
		case op.Range != nil:
			a.Range = t.get(op.Range)
		case op.Put != nil:
			a.Put = t.put(op.Put)
		case op.Delete != nil:
			a.Delete = t.delete(op.Delete)
		case op.Txn != nil:
			a.Txn = t.txn(op.Txn)
		}
		out.Responses = append(out.Responses, a)
	}
	return out
}
