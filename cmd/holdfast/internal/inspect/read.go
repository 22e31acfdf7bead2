package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Everything is what All has found.
type Everything struct {
	Places []Place
	Leases int // of the cluster
	Hidden int // leases whose keys the user may not see
	// RecordsOnly says that the user may not list the cluster's leases, as etcd has it when any of them has a key that the
	// user may not read. Leases are then those of the sessions' records; those of other libraries are missing.
	RecordsOnly bool
}

// atOnce is how many leases are asked for at a time.
const atOnce = 16

// All reads who holds and waits for what, of all names that begin with the prefix: what hangs on the leases of the
// cluster, as of one revision. It asks for each lease, and reads nothing that has none but what belongs to those names.
func All(ctx context.Context, c *gateway.Client, prefix string) (*Everything, error) {
	leases, err := c.Leases(ctx)
	records := errors.Is(err, gateway.ErrPermissionDenied)
	if records {
		leases, err = recorded(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	out := &Everything{Leases: len(leases), RecordsOnly: records}
	keys, hidden, err := keysOf(ctx, c, leases)
	if err != nil {
		return nil, err
	}
	out.Hidden = hidden
	r := &reader{c: c}
	type id struct{ name, recipe string }
	places := map[id]*Place{}
	for lease, all := range keys {
		for _, key := range all {
			name, recipe, ok := parse(key, lease)
			if !ok || !strings.HasPrefix(name, prefix) {
				continue
			}
			p := places[id{name, recipe}]
			if p == nil {
				p = &Place{Name: name, Recipe: recipe}
				places[id{name, recipe}] = p
			}
			p.Members = append(p.Members, Member{Key: key, Lease: lease})
		}
	}
	if err := r.complete(ctx, slices.Collect(maps.Values(places))...); err != nil {
		return nil, err
	}
	for _, p := range places {
		if len(p.Members) > 0 {
			out.Places = append(out.Places, *p)
		}
	}
	slices.SortFunc(out.Places, func(a, b Place) int {
		return strings.Compare(a.Name+"\x00"+a.Recipe, b.Name+"\x00"+b.Recipe)
	})
	return out, nil
}

// recorded returns the leases of which there are session records.
func recorded(ctx context.Context, c *gateway.Client) (leases []gateway.LeaseID, err error) {
	resp, err := c.Get(ctx, session.DefaultRecordPrefix, gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		return nil, err
	}
	for _, kv := range resp.KVs {
		if id, err := gateway.ParseLeaseID(strings.TrimPrefix(kv.Key, session.DefaultRecordPrefix)); err == nil {
			leases = append(leases, id)
		}
	}
	return leases, nil
}

// One reads one name, with members that have no lease, which nobody will take away.
func One(ctx context.Context, c *gateway.Client, name string) (*Place, error) {
	// Hexadecimal digits and what may follow sort behind the slash, with which the settings begin. Where the name ends in a
	// slash, the settings of the name without it are there too.
	among, end := strings.HasSuffix(name, "/"), name+"0"
	if among {
		end = name + "/g"
	}
	line, err := c.Get(ctx, name+"/0", gateway.Range(end), gateway.KeysOnly())
	if err != nil {
		return nil, err
	}
	claims, err := c.Get(ctx, name+claims, gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		return nil, err
	}
	p := &Place{Name: name}
	for _, kv := range line.KVs {
		member := kv.Key[len(name)+1:]
		if !strings.Contains(member, "/") && (!among || leaseOf(member) != 0) {
			p.Members = append(p.Members, Member{Key: kv.Key, Lease: leaseOf(member)})
		}
	}
	for _, kv := range claims.KVs {
		p.Recipe = Queue
		p.Members = append(p.Members, Member{Key: kv.Key})
	}
	return p, (&reader{c: c}).complete(ctx, p)
}

// claims is what follows the name in the keys of a queue's claims.
const claims = "//c/"

// parse tells which place a key under a lease belongs to.
func parse(key string, lease gateway.LeaseID) (name, recipe string, ok bool) {
	if name, _, ok = strings.Cut(key, claims); ok {
		return name, Queue, true
	}
	slash := strings.LastIndexByte(key, '/')
	if slash < 1 || strings.HasPrefix(key, session.DefaultRecordPrefix) || leaseOf(key[slash+1:]) != lease {
		return "", "", false
	}
	return key[:slash], "", !strings.HasSuffix(key[:slash], "//") // two slashes are no name, one at its end is part of it
}

// leaseOf is the lease that a member's key tells of: "<lease hex>", or that and "-<n>".
func leaseOf(member string) gateway.LeaseID {
	hex, _, _ := strings.Cut(member, "-")
	id, _ := gateway.ParseLeaseID(hex) // 0 if it is none
	return id
}

// keysOf asks for the keys under each lease.
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
	for range min(atOnce, len(leases)) {
		all.Go(func() {
			for id := range next {
				info, err := c.TimeToLive(ctx, id, true)
				mu.Lock()
				switch {
				case err == nil:
					keys[id] = info.Keys
				case errors.Is(err, gateway.ErrPermissionDenied):
					hidden++
				case !errors.Is(err, gateway.ErrLeaseNotFound): // which has ended meanwhile
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

// reader reads all at one revision: that of its first request.
type reader struct {
	c        *gateway.Client
	revision int64
}

// chunk stays well under etcd's limit of 128 operations.
const chunk = 100

// get reads single keys; those that do not exist are left out.
func (r *reader) get(ctx context.Context, keys []string) (map[string]gateway.KeyValue, error) {
	out := map[string]gateway.KeyValue{}
	for part := range slices.Chunk(keys, chunk) {
		var t gateway.Txn
		for _, key := range part {
			t.Then = append(t.Then, gateway.OpGet(key, gateway.AtRevision(r.revision)))
		}
		resp, err := r.c.Txn(ctx, t)
		if err != nil {
			return nil, err
		}
		if r.revision == 0 {
			r.revision = resp.Revision
		}
		for _, one := range resp.Responses {
			for _, kv := range one.Get.KVs {
				out[kv.Key] = kv
			}
		}
	}
	return out, nil
}

// complete reads members, settings and session records of places. Members that are gone meanwhile are left out.
func (r *reader) complete(ctx context.Context, places ...*Place) error {
	var keys []string
	for _, p := range places {
		for _, what := range settings {
			keys = append(keys, p.Name+"//"+what)
		}
		for _, m := range p.Members {
			keys = append(keys, m.Key)
		}
	}
	found, err := r.get(ctx, keys)
	if err != nil {
		return err
	}
	records := map[string]bool{}
	for _, p := range places {
		p.fill(found)
		for _, m := range p.Members {
			records[recordOf(m.Lease)] = true
		}
	}
	if found, err = r.get(ctx, slices.Collect(maps.Keys(records))); err != nil {
		return err
	}
	for _, p := range places {
		for i := range p.Members {
			var info session.Info
			if kv, ok := found[recordOf(p.Members[i].Lease)]; ok && json.Unmarshal(kv.Value, &info) == nil {
				p.Members[i].Session = &info
			}
		}
		p.arrange()
	}
	return nil
}

func recordOf(lease gateway.LeaseID) string { return session.DefaultRecordPrefix + lease.String() }

// fill takes settings and members from what was found.
func (p *Place) fill(found map[string]gateway.KeyValue) {
	p.Settings = map[string]string{}
	for _, what := range settings {
		if kv, ok := found[p.Name+"//"+what]; ok {
			p.Settings[what] = string(kv.Value)
		}
	}
	there := p.Members[:0]
	for _, m := range p.Members {
		kv, ok := found[m.Key]
		if !ok {
			continue
		}
		m.Fence, m.Value, m.Under = kv.CreateRevision, string(kv.Value), kv.Lease
		if _, place, claimed := strings.Cut(m.Key, claims); claimed {
			m.Value, m.Lease = place, kv.Lease
		}
		there = append(there, m)
	}
	p.Members = there
}
