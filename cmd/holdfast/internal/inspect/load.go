package inspect

import (
	"context"
	"maps"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// Loaded is the result of [Load].
type Loaded struct {
	Revision int64
	KVs      []gateway.KeyValue // without items of queues, and without payloads
	Counts   []Count
}

// Count is the number of the keys of one kind at a name.
type Count struct {
	Key // without Rest
	N   int64
}

// ticksLoaded is the number of the last ticks of a schedule that Load reads.
const ticksLoaded = 16

// Load reads all keys that begin with a prefix and that [Classify] knows, as of one revision. It
// counts the items of queues, and reads neither them nor the results of single runs, so its cost
// does not depend on their size. It returns the error of a failed request.
func Load(ctx context.Context, c *gateway.Client, prefix string) (*Loaded, error) {
	first, err := c.Get(ctx, prefix, gateway.Prefix(), gateway.CountOnly())
	if err != nil {
		return nil, err
	}
	r := &reader{c: c, revision: first.Revision}
	out := &Loaded{Revision: r.revision}
	counted := map[string]bool{}
	ticks := map[string][]string{}
	var keys, ranges []string
	err = r.scan(ctx, prefixed(prefix), func(key string) {
		switch k := Classify(key); k.Kind {
		case KindOther:
		case KindItem, KindDelayed, KindDead:
			at := itemKeys.FindStringIndex(key)
			if of := key[:at[1]]; !counted[of] {
				counted[of] = true
				ranges = append(ranges, of)
				out.Counts = append(out.Counts, Count{Key: Key{Kind: k.Kind, Name: k.Name}})
			}
		case KindHistory:
			ticks[k.Name] = append(ticks[k.Name], key)
			if last := ticks[k.Name]; len(last) > ticksLoaded {
				ticks[k.Name] = last[1:]
			}
		default:
			if !Payload(k) {
				keys = append(keys, key)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, last := range ticks {
		keys = append(keys, last...)
	}
	found, err := r.get(ctx, keys)
	if err != nil {
		return nil, err
	}
	out.KVs = slices.Collect(maps.Values(found))
	return out, r.count(ctx, ranges, out.Counts)
}

// Payload reports whether the value of a key is a user's, and may be large. Such a key is not
// loaded.
func Payload(k Key) bool {
	return k.Kind == KindSetting && (k.Rest == "result" || k.Rest == "failure" ||
		k.Rest == "rounds" || k.Rest == "gaps")
}

// count counts the keys with each of the prefixes.
func (r *reader) count(ctx context.Context, prefixes []string, into []Count) error {
	for i := 0; i < len(prefixes); i += keysAtOnce {
		var t gateway.Txn
		for _, prefix := range prefixes[i:min(i+keysAtOnce, len(prefixes))] {
			t.Then = append(t.Then, gateway.OpGet(prefix, gateway.Prefix(), gateway.CountOnly(),
				gateway.AtRevision(r.revision)))
		}
		resp, err := r.c.Txn(ctx, t)
		if err != nil {
			return err
		}
		for j, response := range resp.Responses {
			into[i+j].N = response.Get.Count
		}
	}
	return nil
}
