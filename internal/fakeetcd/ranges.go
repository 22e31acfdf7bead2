package fakeetcd

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// get reads keys. The order of equal keys of a sort is etcd's, because it is the same algorithm.
func (t *change) get(r *rangeRequest) *rangeAnswer {
	rev := t.rev()
	if r.Revision > 0 {
		rev = int64(r.Revision)
	}
	found := t.s.find(string(r.Key), string(r.End), rev)
	out := &rangeAnswer{Count: len(found)} // before the bounds and the limit
	out.Header.Revision = t.rev()
	if r.CountOnly {
		return out
	}
	if r.Limit > 0 && r.SortOrder != ascend && r.SortOrder != descend && !r.bounded() {
		// Without an order etcd reads no more keys than it needs, before it sorts by a target.
		found = found[:min(len(found)-1, int(r.Limit))+1] // the sum must not overflow
	}
	found = slices.DeleteFunc(found, r.excludes)
	if less := r.less(found); less != nil {
		sort.Sort(sorter{found, less})
	}
	if r.Limit > 0 && len(found) > int(r.Limit) {
		found, out.More = found[:r.Limit], true
	}
	if r.KeysOnly {
		for i := range found {
			found[i].Value = nil
		}
	}
	out.KVs = found
	return out
}

// bounded reports whether the request has bounds of revisions.
func (r *rangeRequest) bounded() bool {
	return r.MinMod != 0 || r.MaxMod != 0 || r.MinCreate != 0 || r.MaxCreate != 0
}

// excludes reports whether a key is outside of the bounds of the revisions.
func (r *rangeRequest) excludes(o object) bool {
	return r.MaxMod != 0 && o.Mod > int64(r.MaxMod) ||
		r.MinMod != 0 && o.Mod < int64(r.MinMod) ||
		r.MaxCreate != 0 && o.Create > int64(r.MaxCreate) ||
		r.MinCreate != 0 && o.Create < int64(r.MinCreate)
}

// less returns the order of the sort, or nil if the keys stay in theirs.
func (r *rangeRequest) less(found []object) func(i, j int) bool {
	compare := func(a, b object) int { return bytes.Compare(a.Key, b.Key) }
	byKey := false
	switch r.SortTarget {
	case byVersion:
		compare = func(a, b object) int { return cmp.Compare(a.Version, b.Version) }
	case byCreate:
		compare = func(a, b object) int { return cmp.Compare(a.Create, b.Create) }
	case byMod:
		compare = func(a, b object) int { return cmp.Compare(a.Mod, b.Mod) }
	case byValue:
		compare = func(a, b object) int { return bytes.Compare(a.Value, b.Value) }
	default:
		byKey = true
	}
	switch {
	case r.SortOrder == descend:
		return func(i, j int) bool { return compare(found[j], found[i]) < 0 }
	case byKey:
		return nil
	}
	return func(i, j int) bool { return compare(found[i], found[j]) < 0 }
}

type sorter struct {
	found []object
	less  func(i, j int) bool
}

func (s sorter) Len() int           { return len(s.found) }
func (s sorter) Swap(i, j int)      { s.found[i], s.found[j] = s.found[j], s.found[i] }
func (s sorter) Less(i, j int) bool { return s.less(i, j) }
