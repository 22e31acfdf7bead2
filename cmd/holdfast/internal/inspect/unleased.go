package inspect

import (
	"context"
	"regexp"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// pageOfKeys is how many keys are read at once, without their values.
const pageOfKeys = 1000

// memberForm is that of the names of members. IDs that etcd or this library gives to leases hardly
// ever have fewer digits, and a program's own keys may well be numbers with fewer.
var memberForm = regexp.MustCompile(`^[1-9a-f][0-9a-f]{11,15}(-[0-9a-f]+)*$`)

// Unleased returns the keys that have the form of a member's or a claim's and no lease, with the
// name that each belongs to. [All] finds no such key where nobody else uses the name, because it
// asks for the keys under each lease. It looks at the first most keys, more or less, that begin
// with the prefix, and more tells whether there are others.
func Unleased(
	ctx context.Context, c *gateway.Client, prefix string, most int,
) (names map[string]string, more bool, err error) {
	names = map[string]string{}
	looked := 0
	for page, err := range c.Pages(ctx, prefix, pageOfKeys, gateway.Prefix(), gateway.KeysOnly()) {
		if err != nil {
			return nil, false, err
		}
		for _, kv := range page.KVs {
			if name, ok := unleased(kv); ok && strings.HasPrefix(name, prefix) {
				names[kv.Key] = name
			}
		}
		if looked += len(page.KVs); looked >= most {
			more = page.More
			break
		}
	}
	return names, more, nil
}

// unleased tells which place a key belongs to that has no lease and the form of one that must have.
func unleased(kv gateway.KeyValue) (name string, ok bool) {
	if kv.Lease != 0 {
		return "", false
	}
	leaf := kv.Key[strings.LastIndexByte(kv.Key, '/')+1:]
	name, recipe, ok := parse(kv.Key, leaseOf(leaf))
	return name, ok && (recipe == Queue || memberForm.MatchString(leaf))
}
