package inspect

import (
	"cmp"
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

// Everything is the result of All.
type Everything struct {
	Places []Place
	Leases int // number of leases of the cluster
	Hidden int // number of leases with a key that the user may not read
	// RecordsOnly reports that the user may not list the cluster's leases, because one of them has
	// a key that the user may not read. The leases are then taken from the session records.
	RecordsOnly bool
	Crowded     []Crowd // leases with more than CrowdedFrom keys, the fullest first
}

// Crowd is a lease with very many keys.
type Crowd struct {
	Lease   gateway.LeaseID
	Keys    int
	Session *session.Info // nil for a lease without a session record
}

// CrowdedFrom is how many keys a lease may have without a note. etcd checks each key in every put
// under the lease, unless the user has the role root.
const CrowdedFrom = 1000

// atOnce is the number of concurrent requests for leases.
const atOnce = 16

// All reads the holders and waiters of all names that begin with the prefix, as of one revision. It
// asks for the keys of each lease of the cluster. Of the keys without a lease it reads only the
// settings of those names, unless some are hidden from the user: then it also reads all keys that
// the user may. It returns an error of a request, such as gateway.ErrPermissionDenied, or the cause
// of ctx.
func All(ctx context.Context, c *gateway.Client, v Viewer, prefix string) (*Everything, error) {
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
	if records || hidden > 0 {
		if err := r.readable(ctx, v, prefix, keys); err != nil {
			return nil, err
		}
	}
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
	out.Crowded, err = r.crowded(ctx, keys)
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
		hex := strings.TrimPrefix(kv.Key, session.DefaultRecordPrefix)
		if id, err := gateway.ParseLeaseID(hex); err == nil {
			leases = append(leases, id)
		}
	}
	return leases, nil
}

// crowded returns the leases with very many keys.
func (r *reader) crowded(ctx context.Context, keys map[gateway.LeaseID][]string) ([]Crowd, error) {
	var out []Crowd
	var records []string
	for lease, all := range keys {
		if len(all) > CrowdedFrom {
			out = append(out, Crowd{Lease: lease, Keys: len(all)})
			records = append(records, recordOf(lease))
		}
	}
	found, err := r.get(ctx, records)
	for i := range out {
		out[i].Session = infoOf(found, out[i].Lease)
	}
	slices.SortFunc(out, func(a, b Crowd) int {
		return cmp.Or(cmp.Compare(b.Keys, a.Keys), cmp.Compare(a.Lease, b.Lease))
	})
	return out, err
}

// One reads one name, with members that have no lease and so never expire. It returns the error of
// a failed request.
func One(ctx context.Context, c *gateway.Client, name string) (*Place, error) {
	p, _, err := membersOf(ctx, c, name)
	if err != nil {
		return nil, err
	}
	claims, err := c.Get(ctx, name+claims, gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		return nil, err
	}
	for _, kv := range claims.KVs {
		p.Recipe = Queue
		p.Members = append(p.Members, Member{Key: kv.Key})
	}
	return p, (&reader{c: c}).complete(ctx, p)
}

// frontLook is how many keys Front reads at first.
const frontLook = 8

// Front reads the holders, and perhaps some of the first waiters, of a name that is not a queue's.
// Its cost does not depend on the number of waiters. It returns the error of a failed request.
func Front(ctx context.Context, c *gateway.Client, name string) (*Place, error) {
	p, more, err := membersOf(ctx, c, name, gateway.Limit(frontLook),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Ascend))
	if err == nil {
		err = (&reader{c: c}).complete(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	if n := len(p.Members); more && (n == 0 || p.Members[n-1].Holds) { // others may hold too
		return One(ctx, c, name)
	}
	return p, nil
}

// membersOf lists the members of one name. more reports whether a limit has cut the list.
func membersOf(
	ctx context.Context, c *gateway.Client, name string, opts ...gateway.Option,
) (p *Place, more bool, err error) {
	// Member names begin with hexadecimal digits, which sort after the slash of the settings. If
	// the name ends in a slash, the range also contains the settings of the name without it.
	among, end := strings.HasSuffix(name, "/"), name+"0"
	if among {
		end = name + "/g"
	}
	resp, err := c.Get(ctx, name+"/0", append(opts, gateway.Range(end), gateway.KeysOnly())...)
	if err != nil {
		return nil, false, err
	}
	p = &Place{Name: name}
	for _, kv := range resp.KVs {
		member := kv.Key[len(name)+1:]
		if !strings.Contains(member, "/") && (!among || leaseOf(member) != 0) {
			p.Members = append(p.Members, Member{Key: kv.Key, Lease: leaseOf(member)})
		}
	}
	return p, resp.More, nil
}

// claims follows the name in the keys of a queue's claims.
const claims = "//c/"

// parse returns the place of a key under a lease.
func parse(key string, lease gateway.LeaseID) (name, recipe string, ok bool) {
	if name, _, ok = strings.Cut(key, claims); ok {
		return name, Queue, true
	}
	slash := strings.LastIndexByte(key, '/')
	if slash < 1 || strings.HasPrefix(key, session.DefaultRecordPrefix) ||
		leaseOf(key[slash+1:]) != lease {
		return "", "", false
	}
	// A name does not end in two slashes; one slash at its end belongs to it.
	return key[:slash], "", !strings.HasSuffix(key[:slash], "//")
}

// leaseOf returns the lease in a member's name, which is "<lease hex>" or "<lease hex>-<n>".
func leaseOf(member string) gateway.LeaseID {
	hex, _, _ := strings.Cut(member, "-")
	id, _ := gateway.ParseLeaseID(hex) // 0 if there is none
	return id
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

// reader reads everything at the revision of its first request.
type reader struct {
	c        *gateway.Client
	revision int64
}

// chunk is less than etcd's limit of 128 operations.
const chunk = 100

// get reads single keys. Missing keys are left out.
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

// complete reads the members, settings and session records of places. Members that have disappeared
// are left out.
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
			p.Members[i].Session = infoOf(found, p.Members[i].Lease)
		}
		p.arrange()
	}
	return nil
}

// infoOf returns the content of a session record, or nil.
func infoOf(found map[string]gateway.KeyValue, lease gateway.LeaseID) *session.Info {
	var info session.Info
	if kv, ok := found[recordOf(lease)]; !ok || json.Unmarshal(kv.Value, &info) != nil {
		return nil
	}
	return &info
}

func recordOf(lease gateway.LeaseID) string { return session.DefaultRecordPrefix + lease.String() }

// fill copies settings and members from the keys that were found.
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
