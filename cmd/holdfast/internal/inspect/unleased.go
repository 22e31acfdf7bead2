package inspect

import (
	"context"
	"regexp"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// pageOfKeys is how many keys are read in one request, without their values.
const pageOfKeys = 1000

// memberForm matches the names of members. Lease IDs of etcd or this library rarely have fewer
// digits, and a program's own keys may well be numbers with fewer.
var memberForm = regexp.MustCompile(`^[1-9a-f][0-9a-f]{11,15}(-[0-9a-f]+)*$`)

// Unleased returns the keys that look like a member or a claim and have no lease, with the name of
// each. [All] does not find such a key if the name has no other members, because it asks for the
// keys of each lease. Unleased reads about the first most keys that begin with the prefix. more
// reports whether there are others. It returns the error of a failed request.
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

// unleased returns the place of a key that looks like a member but has no lease.
func unleased(kv gateway.KeyValue) (name string, ok bool) {
	if kv.Lease != 0 {
		return "", false
	}
	leaf := kv.Key[strings.LastIndexByte(kv.Key, '/')+1:]
	name, recipe, ok := parse(kv.Key, leaseOf(leaf))
	return name, ok && (recipe == Queue || memberForm.MatchString(leaf))
}
