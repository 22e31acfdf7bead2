package stm

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
)

// maxShared is the number of keys, read and written, up to which a commit may share a request with
// other commits of its session.
const maxShared = 8

// table has the keys of the shared commits of a session that are under way. If one of two commits
// writes a key that the other reads or writes, they must not share a request, because etcd
// evaluates the conditions of both before it applies any: each could rely on a value that the other
// changes.
type table struct {
	mu     sync.Mutex
	reads  map[string]int // the number of commits that read the key
	writes map[string]int
}

// tables has the table of each session that lives.
var tables sync.Map

func tableOf(s *session.Session) *table {
	if t, ok := tables.Load(s); ok {
		return t.(*table) //nolint:forcetypeassert // nothing else is stored
	}
	t, known := tables.LoadOrStore(s, &table{reads: map[string]int{}, writes: map[string]int{}})
	if !known {
		context.AfterFunc(s.Context(), func() { tables.Delete(s) })
	}
	return t.(*table) //nolint:forcetypeassert // nothing else is stored
}

// enter notes the keys of a commit, unless it conflicts with one that is under way.
func enter(s *session.Session, tx *Tx) (leave func(), ok bool) {
	t := tableOf(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range tx.writes {
		if t.reads[key] > 0 || t.writes[key] > 0 {
			return nil, false
		}
	}
	for key := range tx.reads.keys {
		if t.writes[key] > 0 {
			return nil, false
		}
	}
	t.count(tx, 1)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.count(tx, -1)
	}, true
}

func (t *table) count(tx *Tx, n int) {
	for key := range tx.writes {
		if t.writes[key] += n; t.writes[key] == 0 {
			delete(t.writes, key)
		}
	}
	for key := range tx.reads.keys {
		if t.reads[key] += n; t.reads[key] == 0 {
			delete(t.reads, key)
		}
	}
}

// weight returns the share that a commit takes of a request, or 0 if it must not share one.
func (tx *Tx) weight() int {
	if len(tx.reads.prefixes) > 0 || len(tx.reads.keys)+len(tx.writes) > maxShared {
		return 0
	}
	size := 0
	for key, w := range tx.writes {
		size += len(key) + len(w.value)
	}
	for key, kv := range tx.reads.keys { // Else reads them
		size += len(key) + len(kv.Value)
	}
	return max(len(tx.reads.keys), len(tx.writes)) + 1 + size/core.WeightBytes // 1 for the receipt
}
