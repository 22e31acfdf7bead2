package cache

import (
	"iter"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// maxChunk is the number of keys above which a chunk is split. A change copies one chunk and the
// list of all chunks, so the best size grows with the root of the number of keys.
const maxChunk = 256

// keyOverhead is the memory of a key besides its name and its value, in bytes.
const keyOverhead = 128

// table is an immutable ordered map of keys. A changed table shares all other chunks with the table
// that it was made from.
type table struct {
	first  []string // of each chunk
	chunks []*chunk
	n      int
	size   int64 // of all keys and values, with keyOverhead
}

// chunk is a part of a table, in key order. It is never empty.
type chunk struct {
	keys []string // apart from kvs, so that a search reads less memory
	kvs  []*gateway.KeyValue
}

// search returns the number of keys that sort before key.
func search(keys []string, key string) int {
	low, high := 0, len(keys)
	for low < high {
		if middle := int(uint(low+high) >> 1); keys[middle] < key {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// find returns the chunk in which a key is or belongs, and the place in the chunk.
func (t *table) find(key string) (i, j int) {
	i = search(t.first, key)
	if i == len(t.first) || t.first[i] != key {
		i--
	}
	if i < 0 {
		return 0, 0
	}
	return i, search(t.chunks[i].keys, key)
}

// get returns a key, or nil if the table does not have it.
func (t *table) get(key string) *gateway.KeyValue {
	i, j := t.find(key)
	if i < len(t.chunks) && j < len(t.chunks[i].keys) && t.chunks[i].keys[j] == key {
		return t.chunks[i].kvs[j]
	}
	return nil
}

// walk passes the keys with a prefix to yield, in order, until it returns false.
func (t *table) walk(prefix string, yield func(gateway.KeyValue) bool) {
	for i, j := t.find(prefix); i < len(t.chunks); i, j = i+1, 0 {
		c := t.chunks[i]
		for ; j < len(c.keys); j++ {
			if !strings.HasPrefix(c.keys[j], prefix) || !yield(*c.kvs[j]) {
				return
			}
		}
	}
}

// with returns the table after events.
func (t *table) with(events []gateway.Event) table {
	next := *t
	next.first, next.chunks = slices.Clone(t.first), slices.Clone(t.chunks)
	for _, ev := range events {
		if ev.Deleted {
			next.remove(ev.KV.Key)
		} else {
			kv := ev.KV
			next.set(&kv)
		}
	}
	return next
}

// add appends a key that sorts after all others, to a table that no reader has yet.
func (t *table) add(kv *gateway.KeyValue) {
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last].keys) >= maxChunk/2 { // room for more keys in between
		t.first = append(t.first, kv.Key)
		t.chunks = append(t.chunks, &chunk{})
		last++
	}
	c := t.chunks[last]
	c.keys, c.kvs = append(c.keys, kv.Key), append(c.kvs, kv)
	t.count(kv, 1)
}

func (t *table) set(kv *gateway.KeyValue) {
	i, j := t.find(kv.Key)
	if i == len(t.chunks) {
		t.add(kv)
		return
	}
	c := t.chunks[i].copied()
	if j < len(c.keys) && c.keys[j] == kv.Key {
		t.count(c.kvs[j], -1)
		c.kvs[j] = kv
	} else {
		c.keys, c.kvs = slices.Insert(c.keys, j, kv.Key), slices.Insert(c.kvs, j, kv)
	}
	t.count(kv, 1)
	t.chunks[i], t.first[i] = c, c.keys[0]
	if half := len(c.keys) / 2; len(c.keys) > maxChunk {
		upper := (&chunk{c.keys[half:], c.kvs[half:]}).copied()
		t.chunks[i] = (&chunk{c.keys[:half], c.kvs[:half]}).copied()
		t.chunks = slices.Insert(t.chunks, i+1, upper)
		t.first = slices.Insert(t.first, i+1, upper.keys[0])
	}
}

func (t *table) remove(key string) {
	kv := t.get(key)
	if kv == nil {
		return
	}
	t.count(kv, -1)
	i, j := t.find(key)
	c := t.chunks[i].copied()
	c.keys, c.kvs = slices.Delete(c.keys, j, j+1), slices.Delete(c.kvs, j, j+1)
	if len(c.keys) == 0 {
		t.chunks, t.first = slices.Delete(t.chunks, i, i+1), slices.Delete(t.first, i, i+1)
		return
	}
	t.chunks[i], t.first[i] = c, c.keys[0]
}

func (c *chunk) copied() *chunk { return &chunk{slices.Clone(c.keys), slices.Clone(c.kvs)} }

func (t *table) count(kv *gateway.KeyValue, sign int) {
	t.n += sign
	t.size += int64(sign) * (int64(len(kv.Key)+len(kv.Value)) + keyOverhead)
}

// place is a position in a table.
type place struct {
	*table
	i, j int
}

func (p *place) end() bool { return p.i == len(p.chunks) }

func (p *place) kv() *gateway.KeyValue { return p.chunks[p.i].kvs[p.j] }

func (p *place) next() {
	if p.j++; p.j == len(p.chunks[p.i].keys) {
		p.i, p.j = p.i+1, 0
	}
}

// differences yields the keys that differ between two tables, in order, with the old and the new
// key, of which one may be nil. Its cost is the number of chunks, and of the keys in chunks that
// the tables do not share.
func differences(from, to *table) iter.Seq2[*gateway.KeyValue, *gateway.KeyValue] {
	return func(yield func(before, after *gateway.KeyValue) bool) {
		a, b := place{table: from}, place{table: to}
		for !a.end() || !b.end() {
			var before, after *gateway.KeyValue
			switch {
			case a.end():
				after = b.kv()
			case b.end():
				before = a.kv()
			case a.j == 0 && b.j == 0 && a.chunks[a.i] == b.chunks[b.i]:
				a.i++
				b.i++
				continue
			default:
				before, after = a.kv(), b.kv()
			}
			if before != nil && after != nil {
				switch order := strings.Compare(before.Key, after.Key); {
				case order < 0:
					after = nil
				case order > 0:
					before = nil
				}
			}
			if before != nil {
				a.next()
			}
			if after != nil {
				b.next()
			}
			same := before != nil && after != nil && before.ModRevision == after.ModRevision
			if !same && !yield(before, after) {
				return
			}
		}
	}
}
