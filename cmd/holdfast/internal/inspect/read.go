package inspect

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// One reads one name, with members that have no lease and so never expire. It returns the error of
// a failed request.
func One(ctx context.Context, c *gateway.Client, name string) (*Place, error) {
	all, err := readNames(ctx, c, 0, name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Many is [One] for several names, with a few requests for every 50 of them.
func Many(ctx context.Context, c *gateway.Client, names []string) ([]*Place, error) {
	var all []*Place
	for part := range slices.Chunk(names, keysAtOnce/2) {
		places, err := readNames(ctx, c, 0, part...)
		if err != nil {
			return nil, err
		}
		all = append(all, places...)
	}
	return all, nil
}

// readNames reads at most keysAtOnce/2 names at a revision, or at the current one if it is 0.
func readNames(
	ctx context.Context, c *gateway.Client, revision int64, names ...string,
) ([]*Place, error) {
	at := gateway.AtRevision(revision)
	var t gateway.Txn
	for _, name := range names {
		from, to := memberRange(name)
		t.Then = append(t.Then, gateway.OpGet(from, gateway.Range(to), gateway.KeysOnly(), at),
			gateway.OpGet(claimPrefix(name), gateway.Prefix(), gateway.KeysOnly(), at))
	}
	resp, err := c.Txn(ctx, t)
	if err != nil {
		return nil, err
	}
	places := make([]*Place, len(names))
	for i, name := range names {
		p := &Place{Name: name}
		p.addMembers(resp.Responses[2*i].Get.KVs)
		for _, kv := range resp.Responses[2*i+1].Get.KVs {
			p.Recipe = Queue
			p.Members = append(p.Members, Member{Key: kv.Key})
		}
		places[i] = p
	}
	return places, (&reader{c: c, revision: revision}).fill(ctx, places...)
}

// addMembers adds the members among the keys in the range of the name.
func (p *Place) addMembers(kvs []gateway.KeyValue) {
	for _, kv := range kvs {
		if isMember(p.Name, kv.Key) {
			p.Members = append(p.Members, Member{Key: kv.Key, Lease: leaseOf(kv.Key)})
		}
	}
}

// frontLimit is how many keys Front reads at first.
const frontLimit = 8

// Front reads the holders, and perhaps some of the first waiters, of a name that is not a queue's.
// Its cost does not depend on the number of waiters. It returns the error of a failed request.
func Front(ctx context.Context, c *gateway.Client, name string) (*Place, error) {
	p, more, err := membersOf(ctx, c, name, gateway.Limit(frontLimit),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Ascend))
	if err == nil {
		err = (&reader{c: c}).fill(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	if n := len(p.Members); more && (n == 0 || p.Members[n-1].Holds) { // others may hold too
		return One(ctx, c, name)
	}
	return p, nil
}

// Up reports whether a simple barrier is up. It reads only keys of the barrier, and its cost does
// not depend on the number of holders. It returns the error of a failed request.
func Up(ctx context.Context, c *gateway.Client, name string) (bool, error) {
	p, more, err := membersOf(ctx, c, name, gateway.Limit(frontLimit))
	if err == nil && more && len(p.Members) == 0 { // keys of other names lie before the first
		p, _, err = membersOf(ctx, c, name)
	}
	if err == nil {
		err = (&reader{c: c}).fillMembers(ctx, p)
	}
	return err == nil && p.Up(), err
}

// membersOf lists the members of one name. more reports whether a limit has cut the list.
func membersOf(
	ctx context.Context, c *gateway.Client, name string, opts ...gateway.Option,
) (p *Place, more bool, err error) {
	from, to := memberRange(name)
	resp, err := c.Get(ctx, from, append(opts, gateway.Range(to), gateway.KeysOnly())...)
	if err != nil {
		return nil, false, err
	}
	p = &Place{Name: name}
	p.addMembers(resp.KVs)
	return p, resp.More, nil
}

// reader reads everything at the revision of its first request.
type reader struct {
	c        *gateway.Client
	revision int64
}

// keysAtOnce is less than etcd's limit of 128 operations.
const keysAtOnce = 100

// get reads single keys. Missing keys are left out.
func (r *reader) get(ctx context.Context, keys []string) (map[string]gateway.KeyValue, error) {
	out := map[string]gateway.KeyValue{}
	for part := range slices.Chunk(keys, keysAtOnce) {
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
		for _, response := range resp.Responses {
			for _, kv := range response.Get.KVs {
				out[kv.Key] = kv
			}
		}
	}
	return out, nil
}

// fillMembers reads the members and settings of places. Members that have disappeared are left out.
func (r *reader) fillMembers(ctx context.Context, places ...*Place) error {
	var keys []string
	for _, p := range places {
		for _, setting := range settings {
			keys = append(keys, settingKey(p.Name, setting))
		}
		for _, m := range p.Members {
			keys = append(keys, m.Key)
		}
	}
	found, err := r.get(ctx, keys)
	if err != nil {
		return err
	}
	for _, p := range places {
		p.take(found)
		p.arrange()
	}
	return nil
}

// fill is fillMembers with the session records of the members.
func (r *reader) fill(ctx context.Context, places ...*Place) error {
	if err := r.fillMembers(ctx, places...); err != nil {
		return err
	}
	records := map[string]bool{}
	for _, p := range places {
		for _, m := range p.Members {
			records[recordKey(m.Lease)] = true
			if m.Holds {
				records[sinceKey(m.Lease, m.Key)] = true
			}
		}
	}
	found, err := r.get(ctx, slices.Collect(maps.Keys(records)))
	if err != nil {
		return err
	}
	for _, p := range places {
		for i := range p.Members {
			m := &p.Members[i]
			m.Session = infoOf(found, m.Lease)
			m.Since = sinceOf(found, m)
		}
	}
	return nil
}

// sinceOf returns the time at which a hold was granted, or the zero time.
func sinceOf(found map[string]gateway.KeyValue, m *Member) time.Time {
	var v struct {
		Fence int64     `json:"fence"`
		Since time.Time `json:"since"`
	}
	kv, ok := found[sinceKey(m.Lease, m.Key)]
	if !ok || json.Unmarshal(kv.Value, &v) != nil || v.Fence != m.Fence {
		return time.Time{}
	}
	return v.Since
}

// infoOf returns the content of a session record, or nil.
func infoOf(found map[string]gateway.KeyValue, lease gateway.LeaseID) *session.Info {
	var info session.Info
	if kv, ok := found[recordKey(lease)]; !ok || json.Unmarshal(kv.Value, &info) != nil {
		return nil
	}
	return &info
}

// take copies settings and members from the keys that were found.
func (p *Place) take(found map[string]gateway.KeyValue) {
	p.Settings = map[string]string{}
	for _, setting := range settings {
		if kv, ok := found[settingKey(p.Name, setting)]; ok {
			p.Settings[setting] = string(kv.Value)
		}
	}
	left := p.Members[:0]
	for _, m := range p.Members {
		kv, ok := found[m.Key]
		if !ok {
			continue
		}
		if shown := m.read(kv); !shown && m.moved {
			continue
		}
		left = append(left, m)
	}
	p.Members = left
}

// read copies a key to the member. shown reports whether it shows the owner in another way than by
// the lease in its name.
func (m *Member) read(kv gateway.KeyValue) (shown bool) {
	m.Fence, m.Value, m.Under = kv.CreateRevision, string(kv.Value), kv.Lease
	item, claim := claimedItem(m.Key)
	lease, detached, owned := ownerOf(m.Value)
	switch {
	case claim:
		m.Value, m.Lease = item, kv.Lease
	case owned && detached:
		m.Value, m.Lease, m.Detached = "", kv.Lease, true
	case owned:
		m.Value, m.Lease = "", lease
	}
	return claim || owned
}
