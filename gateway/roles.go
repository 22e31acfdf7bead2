package gateway

import (
	"context"
	"encoding/json"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// PermissionType is the access that a role has to keys.
type PermissionType string

// The types of access.
const (
	PermRead      PermissionType = "READ"
	PermWrite     PermissionType = "WRITE"
	PermReadWrite PermissionType = "READWRITE"
)

// UnmarshalJSON keeps the number of a type that the server has no name for. It returns nil.
func (p *PermissionType) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*p = PermissionType(s)
	return nil
}

// Permission is one permission of a role: on Key alone, or on the keys from Key up to, not
// including, End. The End "\x00" means all keys from Key on. Keys are as in the store, including
// any namespace.
type Permission struct {
	Type PermissionType
	Key  string
	End  string
}

// RoleAdd creates a role without permissions. Returns ErrExists when the name is taken. It may be
// repeated, and is retried at other endpoints until ctx ends. Returns ErrUncertain when ctx ends
// after an attempt may have been applied.
func (a Auth) RoleAdd(ctx context.Context, name string) error {
	r := &call{op: "role add", path: "/auth/role/add", write: true, repeat: true}
	r.settled = settledBy(ErrExists)
	return a.change(ctx, r, wireNames{Name: name}, name)
}

// RoleGet returns the permissions of a role. Users may ask for their own roles. It is retried at
// other endpoints until ctx ends. Returns ErrNotFound when the role does not exist.
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
				p.Type = PermRead // the zero value, which JSON omits
			}
			out[i] = Permission{Type: p.Type, Key: string(p.Key), End: string(p.End)}
		}
		return w.Header, nil
	})
	return out, err
}

// RoleList returns the names of all roles, sorted. It is retried at other endpoints until ctx ends.
// Returns ErrPermissionDenied when auth is on and the user does not have the role root.
func (a Auth) RoleList(ctx context.Context) (roles []string, err error) {
	r := &call{op: "role list", path: "/auth/role/list", repeat: true, local: true}
	return a.names(ctx, r, struct{}{})
}

// RoleDelete deletes a role, and removes it from all users. Returns ErrNotFound when it does not
// exist. It may be repeated, and is retried at other endpoints until ctx ends. Returns ErrUncertain
// when ctx ends after an attempt may have been applied.
func (a Auth) RoleDelete(ctx context.Context, name string) error {
	r := &call{op: "role delete", path: "/auth/role/delete", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireNames{Role: name}, name)
}

// RoleGrantPermission permits a role to read or write a key, or with [Prefix], [Range] or [FromKey]
// a range of keys. It replaces the role's permission on the same key or range. Keys are as in the
// store: roles belong to the whole cluster, so the client's namespace is not added. Returns
// ErrInvalid when perm or an option is wrong, and ErrNotFound when the role does not exist. It may
// be repeated, and is retried at other endpoints until ctx ends. Returns ErrUncertain when ctx ends
// after an attempt may have been applied.
func (a Auth) RoleGrantPermission(
	ctx context.Context, role string, perm PermissionType, key string, opts ...Option,
) error {
	const op = "role grant permission"
	switch perm {
	case PermRead, PermWrite, PermReadWrite:
	default: // etcd 3.6 would treat it as PermRead
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

// RoleRevokePermission removes a permission that RoleGrantPermission granted, on exactly the same
// key or range. Returns ErrNotFound when the role or the permission does not exist. It may be
// repeated, and is retried at other endpoints until ctx ends. Returns ErrUncertain when ctx ends
// after an attempt may have been applied.
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
