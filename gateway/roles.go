package gateway

import (
	"context"
	"encoding/json"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// PermissionType is what a role may do with keys.
type PermissionType string

// What roles may do.
const (
	PermRead      PermissionType = "READ"
	PermWrite     PermissionType = "WRITE"
	PermReadWrite PermissionType = "READWRITE"
)

// UnmarshalJSON takes the number of a type that the server has no name for.
func (p *PermissionType) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*p = PermissionType(s)
	return nil
}

// Permission is one permission of a role: on Key alone, or on the keys from Key up to, not including, End. The End "\x00"
// means all keys from Key on. Keys are those of the store, with the namespace if they are in one.
type Permission struct {
	Type PermissionType
	Key  string
	End  string
}

// RoleAdd makes a role without permissions. A name that is taken is ErrExists. It may be repeated.
func (a Auth) RoleAdd(ctx context.Context, name string) error {
	r := &call{op: "role add", path: "/auth/role/add", write: true, repeat: true}
	r.settled = settledBy(ErrExists)
	return a.change(ctx, r, wireNames{Name: name}, name)
}

// RoleGet gives the permissions of a role. A role that does not exist is ErrNotFound. Users may ask for their own roles.
func (a Auth) RoleGet(ctx context.Context, name string) ([]Permission, error) {
	const op = "role get"
	if why := badNames([]string{name}); why != "" {
		return nil, invalid(op, "%s", why)
	}
	var out []Permission
	r := &call{op: op, path: "/auth/role/get", repeat: true, local: true}
	request := wireNames{Role: name}
	err := unary(ctx, a.client, r, request, func(w *wireRole) (etcdjson.Header, error) {
		out = make([]Permission, len(w.Perm))
		for i, p := range w.Perm {
			if p.Type == "" {
				p.Type = PermRead // the zero value, which is left out
			}
			out[i] = Permission{Type: p.Type, Key: string(p.Key), End: string(p.End)}
		}
		return w.Header, nil
	})
	return out, err
}

// RoleList gives the names of all roles, sorted.
func (a Auth) RoleList(ctx context.Context) (roles []string, err error) {
	r := &call{op: "role list", path: "/auth/role/list", repeat: true, local: true}
	return a.names(ctx, r, struct{}{})
}

// RoleDelete deletes a role, and takes it from all users. One that does not exist is ErrNotFound. It may be repeated.
func (a Auth) RoleDelete(ctx context.Context, name string) error {
	r := &call{op: "role delete", path: "/auth/role/delete", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireNames{Role: name}, name)
}

// RoleGrantPermission lets a role read or write a key, or with [Prefix], [Range] or [FromKey] a range of keys. On the same
// key or range it replaces what the role could do before. Keys are those of the store: roles belong to the whole cluster,
// and the client's namespace is not put before them. A role that does not exist is ErrNotFound. It may be repeated.
func (a Auth) RoleGrantPermission(
	ctx context.Context, role string, perm PermissionType, key string, opts ...Option,
) error {
	const op = "role grant permission"
	switch perm {
	case PermRead, PermWrite, PermReadWrite:
	default: // etcd 3.6 would take it for PermRead
		return invalid(op, "no such type of permission")
	}
	from, to, err := rangeOf(key, opts)
	if err != nil {
		return invalid(op, "%v", err)
	}
	r := &call{op: op, path: "/auth/role/grant", write: true, repeat: true}
	w := wireGrant{Name: role, Perm: wirePerm{Type: perm, Key: from, End: to}}
	return a.change(ctx, r, w, role)
}

// RoleRevokePermission takes back what RoleGrantPermission gave, on the very same key or range. A role that does not exist
// or has no such permission is ErrNotFound. It may be repeated.
func (a Auth) RoleRevokePermission(ctx context.Context, role, key string, opts ...Option) error {
	const op = "role revoke permission"
	from, to, err := rangeOf(key, opts)
	if err != nil {
		return invalid(op, "%v", err)
	}
	r := &call{op: op, path: "/auth/role/revoke", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireRevoke{Role: role, Key: from, End: to}, role)
}

type wirePerm struct {
	Type PermissionType `json:"permType"`
	Key  etcdjson.Bytes `json:"key"`
	End  etcdjson.Bytes `json:"range_end,omitempty"`
}

type wireGrant struct {
	Name string   `json:"name"`
	Perm wirePerm `json:"perm"`
}

type wireRevoke struct {
	Role string `json:"role"`
	Key  []byte `json:"key"`
	End  []byte `json:"range_end,omitempty"`
}

type wireRole struct {
	Header etcdjson.Header `json:"header"`
	Perm   []wirePerm      `json:"perm"`
}
