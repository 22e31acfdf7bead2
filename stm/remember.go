package stm

import (
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
)

// The bounds of the memory of a session. When it is full, any key is forgotten for a new one.
const (
	maxRemembered = 10_000
	maxValue      = 4 << 10 // bytes
)

// memory is keys as the transactions of a session with [Options.Cache] have last read or written
// them. It is safe for concurrent use.
type memory struct {
	mu   sync.Mutex
	keys map[string]remembered
}

// remembered is a key as it was at a revision. ModRevision is 0 if it did not exist.
type remembered struct {
	kv   gateway.KeyValue
	seen int64
}

func (m *memory) get(key string) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.keys[key]
	return known, ok
}

// put remembers a key as it was at a revision, unless its state at a later one is known. If known
// is false, the key had changed by then, and its value is not known.
func (m *memory) put(kv gateway.KeyValue, seen int64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys[kv.Key].seen > seen {
		return
	}
	delete(m.keys, kv.Key)
	if !known || len(kv.Value) > maxValue {
		return
	}
	if len(m.keys) >= maxRemembered {
		for key := range m.keys {
			delete(m.keys, key)
			break
		}
	}
	if m.keys == nil {
		m.keys = map[string]remembered{}
	}
	m.keys[kv.Key] = remembered{kv, seen}
}

// forget removes a key, unless its state is known to have changed since.
func (m *memory) forget(kv gateway.KeyValue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys[kv.Key].kv.ModRevision == kv.ModRevision {
		delete(m.keys, kv.Key)
	}
}

// recall takes the keys that the session remembers, and returns those that have to be read.
func (tx *Tx) recall(keys []string) (rest []string) {
	if !tx.recalls {
		return keys
	}
	for _, key := range keys {
		known, ok := tx.memory.get(key)
		if !ok {
			rest = append(rest, key)
			continue
		}
		tx.ahead.keys[key] = known.kv
		if !tx.recalled || known.seen < tx.oldest {
			tx.oldest = known.seen
		}
		tx.recalled = true
	}
	return rest
}

// remember notes the keys of an attempt that has ended at a revision.
func (tx *Tx) remember(revision int64) {
	if tx.memory == nil {
		return
	}
	for key, kv := range tx.reads.keys {
		kv.Key = key
		tx.memory.put(kv, revision, true)
	}
	for key, w := range tx.writes {
		kv := gateway.KeyValue{Key: key, Value: w.value, ModRevision: revision}
		if w.deleted {
			kv.ModRevision = 0
		}
		tx.memory.put(kv, revision, !w.partial)
	}
}

// forget removes the keys that the attempt has recalled.
func (tx *Tx) forget() {
	if !tx.recalled {
		return
	}
	for key, kv := range tx.ahead.keys {
		kv.Key = key
		tx.memory.forget(kv)
	}
}
