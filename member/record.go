package member

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// record is the value of a member's key: a line of JSON, and then the value that the member shows.
type record struct {
	Token  string `json:"token"` // random for each Membership, so that it knows its own key
	Weight int    `json:"weight"`
	Zone   string `json:"zone,omitempty"`
	value  string
}

func (r record) encode() []byte {
	head, _ := json.Marshal(r) // strings and a number cannot fail
	return append(append(head, '\n'), r.value...)
}

// decode returns false for a value that this library does not write.
func decode(stored []byte) (r record, ok bool) {
	head, value, ok := bytes.Cut(stored, []byte{'\n'})
	if !ok || json.Unmarshal(head, &r) != nil || r.Token == "" || checkWeight(r.Weight) != nil {
		return record{}, false
	}
	r.value = string(value)
	return r, true
}

func prefixOf(group string) string { return group + "//members/" }

// memberOf returns the member of a key in a group with this prefix. ok is false for a key that this
// library did not write.
func memberOf(kv gateway.KeyValue, prefix string) (m Member, ok bool) {
	id, below := strings.CutPrefix(kv.Key, prefix)
	r, ok := decode(kv.Value)
	return Member{
		ID: id, Value: r.value, Weight: r.Weight, Zone: r.Zone,
		Lease: kv.Lease, Fence: kv.CreateRevision,
	}, ok && below
}

// KeyOf returns the key of a member with an ID in a group.
func KeyOf(group, id string) string { return prefixOf(group) + id }

// Of returns the member of a key in a group, for programs that read such keys together with others.
// ok is false for a key that is no member's.
func Of(group string, kv gateway.KeyValue) (m Member, ok bool) {
	return memberOf(kv, prefixOf(group))
}
