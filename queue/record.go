package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// record is an item as it is stored: a line of JSON, and behind it the value as it is.
type record struct {
	ID       string `json:"id"`
	Enqueued int64  `json:"enqueued"`           // in milliseconds, by the producer's clock
	Attempts int    `json:"attempts,omitempty"` // before it came to where it is
	Priority int    `json:"priority,omitempty"`
	Group    string `json:"group,omitempty"`
	Reason   string `json:"reason,omitempty"` // of a dead letter
	DeadAt   int64  `json:"died,omitempty"`

	value []byte
	data  []byte // as it is stored, once [record.stored] was called
	done  bool   // it is in the queue, or an earlier item with its DedupID
	due   int64  // when a delayed item takes its place at the end of the queue; not stored
}

// stored returns the item as it is stored. It is encoded once: a caller of Enqueue may use its
// buffer again when Enqueue has returned, although the transaction may be tried after that.
func (r *record) stored() []byte {
	if r.data == nil {
		r.data = r.encode()
	}
	return r.data
}

func (r *record) encode() []byte {
	head, _ := json.Marshal(r) // cannot fail
	out := make([]byte, 0, len(head)+1+len(r.value))
	out = append(append(out, head...), '\n')
	return append(out, r.value...)
}

var errNoItem = errors.New("not an item")

// decode reads what encode wrote. The value is not copied.
func decode(b []byte) (record, error) {
	var r record
	head, value, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || json.Unmarshal(head, &r) != nil || !plainID(r.ID) || r.Attempts < 0 ||
		r.Priority < 0 || r.Priority > MaxPriority || len(r.Group) > MaxGroup {
		return record{}, errNoItem
	}
	r.Attempts = min(r.Attempts, maxStoredAttempts)
	r.value = value
	return r, nil
}

// plainID: it becomes part of keys.
func plainID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdef-") == ""
}

// maxTime is far in the future, and well before the year 10000, which JSON cannot take.
const maxTime = 250_000_000_000_000

// toTime reads a stored time. One that this library cannot have written, such as one in
// microseconds, is the zero time.
func toTime(ms int64) time.Time {
	if ms < 0 || ms > maxTime {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// maxStoredAttempts bounds what another program may have stored, so that sums stay numbers.
const maxStoredAttempts = 1 << 30
