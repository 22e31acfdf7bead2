package fakeetcd

import (
	"slices"
	"sort"
	"time"
)

// object is a key at one revision. A deletion has Version 0.
type object struct {
	Key     []byte `json:"key"`
	Create  int64  `json:"create_revision,omitempty,string"`
	Mod     int64  `json:"mod_revision,omitempty,string"`
	Version int64  `json:"version,omitempty,string"`
	Value   []byte `json:"value,omitempty"`
	Lease   int64  `json:"lease,omitempty,string"`
}

// uncompacted is the compaction revision of a new store, as in etcd.
const uncompacted = -1

type store struct {
	rev, compacted int64
	keys           []string            // the keys of history, sorted
	history        map[string][]object // the revisions of each key, oldest first
	log            []object            // all changes since the last compaction, in order
	leases         map[int64]*lease
	expired        map[int64]time.Time
}

func newStore() store {
	return store{
		rev: 1, compacted: uncompacted, history: map[string][]object{},
		leases: map[int64]*lease{}, expired: map[int64]time.Time{},
	}
}

// inRange reports whether a key is in a range of etcd: one key if end is empty, and all keys from
// the first one if end is a zero byte.
func inRange(key, from, end string) bool {
	switch end {
	case "":
		return key == from
	case "\x00":
		return key >= from
	}
	return key >= from && key < end
}

// at returns a key as it was at a revision.
func (s *store) at(key string, rev int64) (object, bool) {
	past := s.history[key]
	n := sort.Search(len(past), func(i int) bool { return past[i].Mod > rev })
	if n == 0 || past[n-1].Version == 0 {
		return object{}, false
	}
	return past[n-1], true
}

// find returns the keys of a range as they were at a revision, sorted.
func (s *store) find(from, end string, rev int64) []object {
	if end == "" {
		if o, ok := s.at(from, rev); ok {
			return []object{o}
		}
		return nil
	}
	var out []object
	first, _ := slices.BinarySearch(s.keys, from)
	for _, key := range s.keys[first:] {
		if !inRange(key, from, end) {
			break
		}
		if o, ok := s.at(key, rev); ok {
			out = append(out, o)
		}
	}
	return out
}

// keep appends a revision of a key to its history.
func (s *store) keep(o object) {
	key := string(o.Key)
	past, known := s.history[key]
	if !known {
		at, _ := slices.BinarySearch(s.keys, key)
		s.keys = slices.Insert(s.keys, at, key)
	}
	s.history[key] = append(past, o)
}

// compact drops the history that reads at rev and later do not need.
func (s *store) compact(rev int64) {
	s.compacted = rev
	s.log = slices.Clone(slices.DeleteFunc(s.log, func(o object) bool { return o.Mod < rev }))
	s.keys = slices.DeleteFunc(s.keys, func(key string) bool {
		past := s.history[key]
		n := sort.Search(len(past), func(i int) bool { return past[i].Mod > rev })
		if n > 0 && past[n-1].Version != 0 {
			n--
		}
		s.history[key] = slices.Clone(past[n:])
		if n < len(past) {
			return false
		}
		delete(s.history, key)
		return true
	})
}

// change is a revision that is not yet committed. It is visible to its own reads.
type change struct {
	s      *store
	before int64
	events []object
}

func (s *store) begin() *change { return &change{s: s, before: s.rev} }

// rev returns the revision at which the change's reads see the store.
func (t *change) rev() int64 {
	if len(t.events) > 0 {
		return t.before + 1
	}
	return t.before
}

func (t *change) find(from, end string) []object { return t.s.find(from, end, t.rev()) }

func (t *change) add(o object) {
	t.s.keep(o)
	t.events = append(t.events, o)
}

func (t *change) put(r *putRequest) *putAnswer {
	key := string(r.Key)
	prev, existed := t.s.at(key, t.rev())
	next := object{
		Key: r.Key, Value: r.Value, Create: prev.Create, Mod: t.before + 1,
		Version: prev.Version + 1, Lease: int64(r.Lease),
	}
	if !existed {
		next.Create = next.Mod
	}
	if r.IgnoreValue {
		next.Value = prev.Value
	}
	if r.IgnoreLease {
		next.Lease = prev.Lease
	}
	t.s.detach(prev)
	t.s.attach(next)
	t.add(next)
	out := &putAnswer{}
	if r.PrevKV && existed {
		out.Prev = &prev
	}
	out.Header.Revision = t.rev()
	return out
}

func (t *change) delete(r *deleteRequest) *deleteAnswer {
	found := t.find(string(r.Key), string(r.End))
	for _, o := range found {
		t.s.detach(o)
		t.add(object{Key: o.Key, Mod: t.before + 1})
	}
	out := &deleteAnswer{Deleted: len(found)}
	if r.PrevKV {
		out.Prev = found
	}
	out.Header.Revision = t.rev()
	return out
}

// commit makes a change the newest revision and sends it to the watches. mu must be held.
func (s *Server) commit(t *change) {
	if len(t.events) == 0 {
		return
	}
	s.store.rev = t.rev()
	s.store.log = append(s.store.log, t.events...)
	for st := range s.streams {
		st.notify(t.events)
	}
}
