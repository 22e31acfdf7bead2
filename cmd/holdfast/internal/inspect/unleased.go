package inspect

import (
	"context"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// pageSize is how many keys are read in one request, without their values.
const pageSize = 1000

// Unleased returns the keys that look like a member or a claim and have no lease, with the name of
// each. [All] does not find such a key if the name has no other members, because it asks for the
// keys of each lease. Unleased reads about the first most keys that begin with the prefix. more
// reports whether there are others. It returns the error of a failed request.
func Unleased(
	ctx context.Context, c *gateway.Client, prefix string, most int,
) (names map[string]string, more bool, err error) {
	names = map[string]string{}
	read := 0
	for page, err := range c.Pages(ctx, prefix, pageSize, gateway.Prefix(), gateway.KeysOnly()) {
		if err != nil {
			return nil, false, err
		}
		for _, kv := range page.KVs {
			if name, ok := unleased(kv); ok && strings.HasPrefix(name, prefix) {
				names[kv.Key] = name
			}
		}
		read += len(page.KVs)
		if read >= most {
			more = page.More
			break
		}
	}
	return names, more, nil
}

// unleased returns the name of a key that looks like a member but has no lease.
func unleased(kv gateway.KeyValue) (name string, ok bool) {
	if kv.Lease != 0 || itemKeys.MatchString(kv.Key) {
		return "", false
	}
	name, recipe, ok := parse(kv.Key, leaseOf(kv.Key))
	return name, ok && (recipe == Queue || memberForm.MatchString(lastPart(kv.Key)))
}
