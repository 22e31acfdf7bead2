package inspect

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// etcd lists the keys of a lease only to users who may read all of them, and the leases of the
// cluster only to users who may read the keys of all leases. For other users the members are found
// by reading the keys that their roles permit.

// User is the user of the client.
type User struct {
	Name      string
	Namespace string // the client's namespace
}

// span is the range of keys [from, end), or from and all later keys if end is empty.
type span struct{ from, end string }

// within returns the intersection of two spans. It returns false if that is empty.
func (s span) within(o span) (span, bool) {
	s.from = max(s.from, o.from)
	if s.end == "" || o.end != "" && o.end < s.end {
		s.end = o.end
	}
	return s, s.end == "" || s.from < s.end
}

// prefixed returns the span of all keys with a prefix.
func prefixed(prefix string) span {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return span{prefix, prefix[:i] + string([]byte{prefix[i] + 1})}
		}
	}
	return span{from: prefix}
}

// spans returns the parts of a prefix that the user may read, without the namespace. There are none
// if the user has no roles or may not read them.
func (u User) spans(ctx context.Context, c *gateway.Client, prefix string) ([]span, error) {
	roles, err := c.Auth().UserGet(ctx, u.Name)
	var out []span
	for i := 0; i < len(roles) && err == nil; i++ {
		var permissions []gateway.Permission
		permissions, err = c.Auth().RoleGet(ctx, roles[i])
		for _, p := range permissions {
			s := span{p.Key, cmp.Or(p.End, p.Key+"\x00")}
			if p.End == "\x00" {
				s.end = ""
			}
			s, some := s.within(prefixed(u.Namespace + prefix))
			if some && p.Type != gateway.PermWrite {
				out = append(out, u.relative(s))
			}
		}
	}
	if errors.Is(err, gateway.ErrPermissionDenied) {
		err = nil
	}
	return out, err
}

// relative removes the namespace from a span that lies in it.
func (u User) relative(s span) span {
	s.from = cmp.Or(strings.TrimPrefix(s.from, u.Namespace), "\x00") // the first of all keys
	end, inside := strings.CutPrefix(s.end, u.Namespace)
	if !inside {
		end = "" // the end of the namespace
	}
	return span{s.from, end}
}

// readable adds to keys the members that the user may read.
func (r *reader) readable(
	ctx context.Context, u User, prefix string, keys map[gateway.LeaseID][]string,
) error {
	spans, err := u.spans(ctx, r.c, prefix)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, all := range keys {
		for _, key := range all {
			known[key] = true
		}
	}
	var members []string
	for _, s := range spans {
		err := r.scan(ctx, s, func(key string) {
			lease := leaseOf(key)
			_, recipe, ok := parse(key, lease)
			member := ok && (lease != 0 || recipe == Queue)
			if member && !known[key] { // spans may overlap
				known[key] = true
				members = append(members, key)
			}
		})
		if err != nil {
			return err
		}
	}
	found, err := r.get(ctx, members) // etcd 3.7 returns no leases with KeysOnly
	if err != nil {
		return err
	}
	for _, key := range members {
		if lease := found[key].Lease; lease != 0 {
			keys[lease] = append(keys[lease], key)
		}
	}
	return nil
}

// scan calls each for the keys of a span.
func (r *reader) scan(ctx context.Context, s span, each func(key string)) error {
	to := gateway.FromKey()
	if s.end != "" {
		to = gateway.Range(s.end)
	}
	for s.end == "" || s.from < s.end {
		resp, err := r.c.Get(ctx, s.from, to, gateway.KeysOnly(), gateway.Limit(pageSize),
			gateway.AtRevision(r.revision))
		if err != nil {
			return err
		}
		for _, kv := range resp.KVs {
			each(kv.Key)
		}
		if !resp.More || len(resp.KVs) == 0 {
			return nil
		}
		s.from = after(resp.KVs[len(resp.KVs)-1].Key)
	}
	return nil
}

// after returns the key at which to continue after key. It skips the other keys of the same kind if
// key is an item of a queue.
func after(key string) string {
	if at := itemKeys.FindStringIndex(key); at != nil {
		return key[:at[1]-1] + "0" // "0" follows "/"
	}
	return key + "\x00"
}
