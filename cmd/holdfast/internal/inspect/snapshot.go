package inspect

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Snapshot is the result of [All].
type Snapshot struct {
	Places []Place
	Leases int // number of leases of the cluster
	Hidden int // number of leases with a key that the user may not read
	// RecordsOnly reports that the user may not list the cluster's leases, because one of them has
	// a key that the user may not read. The leases are then taken from the session records.
	RecordsOnly bool
	LargeLeases []LargeLease // the largest first
}

// LargeLease is a lease with more than [ManyKeys] keys.
type LargeLease struct {
	Lease   gateway.LeaseID
	Keys    int
	Session *session.Info // nil for a lease without a session record
}

// ManyKeys is how many keys a lease may have without a note. etcd checks each key in every put
// under the lease, unless the user has the role root.
const ManyKeys = 1000

// concurrency is the number of concurrent requests for leases.
const concurrency = 16

// All reads the holders and waiters of all names that begin with the prefix, as of one revision. It
// asks for the keys of each lease of the cluster. Of the keys without a lease it reads only the
// settings of those names, unless some are hidden from the user: then it also reads all keys that
// the user may. It returns an error of a request, such as gateway.ErrPermissionDenied, or the cause
// of ctx.
func All(ctx context.Context, c *gateway.Client, u User, prefix string) (*Snapshot, error) {
	leases, err := c.Leases(ctx)
	records := errors.Is(err, gateway.ErrPermissionDenied)
	if records {
		leases, err = recorded(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	out := &Snapshot{Leases: len(leases), RecordsOnly: records}
	keys, hidden, err := keysOf(ctx, c, leases)
	if err != nil {
		return nil, err
	}
	out.Hidden = hidden
	r := &reader{c: c}
	if records || hidden > 0 {
		if err := r.readable(ctx, u, prefix, keys); err != nil {
			return nil, err
		}
	}
	type id struct{ name, recipe string }
	places := map[id]*Place{}
	for lease, all := range keys {
		for _, key := range all {
			name, recipe, ok := parse(key, lease)
			moved := !ok && memberForm.MatchString(lastPart(key))
			if moved {
				name, recipe, ok = parse(key, leaseOf(key))
			}
			if !ok || !strings.HasPrefix(name, prefix) || ofGroup(name) {
				continue
			}
			p := places[id{name, recipe}]
			if p == nil {
				p = &Place{Name: name, Recipe: recipe}
				places[id{name, recipe}] = p
			}
			p.Members = append(p.Members, Member{Key: key, Lease: lease, moved: moved})
		}
	}
	if err := r.fill(ctx, slices.Collect(maps.Values(places))...); err != nil {
		return nil, err
	}
	for _, p := range places {
		if len(p.Members) > 0 {
			out.Places = append(out.Places, *p)
		}
	}
	out.LargeLeases, err = r.largeLeases(ctx, keys)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out.Places, func(a, b Place) int {
		return strings.Compare(a.Name+"\x00"+a.Recipe, b.Name+"\x00"+b.Recipe)
	})
	return out, nil
}

// recorded returns the leases that have session records.
func recorded(ctx context.Context, c *gateway.Client) (leases []gateway.LeaseID, err error) {
	resp, err := c.Get(ctx, session.DefaultRecordPrefix, gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		return nil, err
	}
	for _, kv := range resp.KVs {
		if id := leaseOfRecord(kv.Key); id != 0 {
			leases = append(leases, id)
		}
	}
	return leases, nil
}

// largeLeases returns the leases with more than ManyKeys keys.
func (r *reader) largeLeases(
	ctx context.Context, keys map[gateway.LeaseID][]string,
) (out []LargeLease, err error) {
	var records []string
	for lease, all := range keys {
		if len(all) > ManyKeys {
			out = append(out, LargeLease{Lease: lease, Keys: len(all)})
			records = append(records, recordKey(lease))
		}
	}
	found, err := r.get(ctx, records)
	for i := range out {
		out[i].Session = infoOf(found, out[i].Lease)
	}
	slices.SortFunc(out, func(a, b LargeLease) int {
		return cmp.Or(cmp.Compare(b.Keys, a.Keys), cmp.Compare(a.Lease, b.Lease))
	})
	return out, err
}

// keysOf returns the keys of each lease.
func keysOf(
	ctx context.Context, c *gateway.Client, leases []gateway.LeaseID,
) (keys map[gateway.LeaseID][]string, hidden int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	keys = map[gateway.LeaseID][]string{}
	var mu sync.Mutex
	next := make(chan gateway.LeaseID, len(leases))
	for _, id := range leases {
		next <- id
	}
	close(next)
	var all sync.WaitGroup
	for range min(concurrency, len(leases)) {
		all.Go(func() {
			for id := range next {
				info, err := c.TimeToLive(ctx, id, true)
				mu.Lock()
				switch {
				case err == nil:
					keys[id] = info.Keys
				case errors.Is(err, gateway.ErrPermissionDenied):
					hidden++
				case !errors.Is(err, gateway.ErrLeaseNotFound): // the lease has ended meanwhile
					cancel(err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	return keys, hidden, nil
}

// SlashPairs returns the names that are used both with and without a slash at the end, because
// perhaps one was meant. It returns them without the slash.
func SlashPairs(places []Place) []string {
	names := map[string]bool{}
	for _, p := range places {
		names[p.Name] = true
	}
	var pairs []string
	for name := range names {
		if base, slash := strings.CutSuffix(name, "/"); slash && names[base] {
			pairs = append(pairs, base)
		}
	}
	slices.Sort(pairs)
	return pairs
}
