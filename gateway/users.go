package gateway

import (
	"context"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// The calls about users and roles change the whole cluster, with auth on or off.

// UserAdd creates a user with a password. Returns ErrExists when the name is taken, ErrInvalid when
// the password is empty, and ErrUncertain when ctx ends or the answer is lost after it was sent:
// look at UserList. It is sent at most once.
func (a Auth) UserAdd(ctx context.Context, name string, password Secret) error {
	const op = "user add"
	if password == "" {
		return invalid(op, "no password: use UserAddWithoutPassword")
	}
	return a.userAdd(ctx, op, name, password, wireUser{Name: name, Password: string(password)})
}

// UserAddWithoutPassword creates a user without a password, for clients that speak gRPC: such a
// user logs in only by the name in a client certificate, which the gateway does not accept. Errors
// and ctx are as for UserAdd.
func (a Auth) UserAddWithoutPassword(ctx context.Context, name string) error {
	w := wireUser{Name: name, Options: &wireUserOptions{NoPassword: true}}
	return a.userAdd(ctx, "user add", name, "", w)
}

func (a Auth) userAdd(ctx context.Context, op, name string, password Secret, w wireUser) error {
	if why := badCredentials(name, password); why != "" {
		return invalid(op, "%s", why)
	}
	r := &call{op: op, path: "/auth/user/add", write: true, timeout: adminTimeout}
	return unary(ctx, a.client, r, w, headerOnly)
}

// UserGet returns the roles of a user, sorted. Users may ask for themselves. It is retried at other
// endpoints until ctx ends. Returns ErrNotFound when the user does not exist.
func (a Auth) UserGet(ctx context.Context, name string) (roles []string, err error) {
	r := &call{op: "user get", path: "/auth/user/get", repeat: true, local: true}
	return a.names(ctx, r, wireNames{Name: name}, name)
}

// UserList returns the names of all users, sorted. It is retried at other endpoints until ctx ends.
// Returns ErrPermissionDenied when auth is on and the user does not have the role root.
func (a Auth) UserList(ctx context.Context) (users []string, err error) {
	r := &call{op: "user list", path: "/auth/user/list", repeat: true, local: true}
	return a.names(ctx, r, struct{}{})
}

// UserDelete deletes a user. Returns ErrNotFound when the user does not exist. It may be repeated,
// and is retried at other endpoints until ctx ends. Returns ErrUncertain when ctx ends after an
// attempt may have been applied.
func (a Auth) UserDelete(ctx context.Context, name string) error {
	r := &call{op: "user delete", path: "/auth/user/delete", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireNames{Name: name}, name)
}

// UserChangePassword changes the password of a user, and ends the user's tokens: a client that logs
// in as that user must be created anew. Returns ErrInvalid when the password is empty, and
// ErrNotFound when the user does not exist. It may be repeated, and is retried at other endpoints
// until ctx ends. Returns ErrUncertain when ctx ends after an attempt may have been applied.
func (a Auth) UserChangePassword(ctx context.Context, name string, password Secret) error {
	const op = "user change password"
	why := badCredentials(name, password)
	if why == "" && password == "" {
		why = "no password"
	}
	if why != "" {
		return invalid(op, "%s", why)
	}
	r := &call{op: op, path: "/auth/user/changepw", write: true, repeat: true}
	return unary(ctx, a.client, r, wireUser{Name: name, Password: string(password)}, headerOnly)
}

// UserGrantRole gives a user a role. It returns nil if the user has it already. Returns ErrNotFound
// when the user or the role does not exist. It may be repeated, and is retried at other endpoints
// until ctx ends. Returns ErrUncertain when ctx ends after an attempt may have been applied.
func (a Auth) UserGrantRole(ctx context.Context, user, role string) error {
	r := &call{op: "user grant role", path: "/auth/user/grant", write: true, repeat: true}
	return a.change(ctx, r, wireNames{User: user, Role: role}, user, role)
}

// UserRevokeRole removes a role from a user. Returns ErrNotFound when the user does not exist or
// does not have the role. It may be repeated, and is retried at other endpoints until ctx ends.
// Returns ErrUncertain when ctx ends after an attempt may have been applied.
func (a Auth) UserRevokeRole(ctx context.Context, user, role string) error {
	r := &call{op: "user revoke role", path: "/auth/user/revoke", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireNames{Name: user, Role: role}, user, role)
}

// settledBy is for calls whose repetition reports the effect of the earlier attempt as an error.
func settledBy(effect error) func(*Error) bool {
	return func(e *Error) bool { return e.Is(effect) }
}

// change sends a request that consists of names.
func (a Auth) change(ctx context.Context, r *call, w any, names ...string) error {
	if why := badNames(names); why != "" {
		return invalid(r.op, "%s", why)
	}
	return unary(ctx, a.client, r, w, headerOnly)
}

func badNames(names []string) string {
	for _, n := range names {
		if why := badCredentials(n, ""); why != "" {
			return "a name that is empty or not UTF-8"
		}
	}
	return ""
}

// names sends a request whose answer is names.
func (a Auth) names(ctx context.Context, r *call, w any, given ...string) ([]string, error) {
	if why := badNames(given); why != "" {
		return nil, invalid(r.op, "%s", why)
	}
	type answer struct {
		Header etcdjson.Header `json:"header"`
		Users  []string        `json:"users"`
		Roles  []string        `json:"roles"`
	}
	var out []string
	err := unary(ctx, a.client, r, w, func(w *answer) (etcdjson.Header, error) {
		out = slices.Sorted(slices.Values(slices.Concat(w.Users, w.Roles)))
		return w.Header, nil
	})
	return out, err
}

// wireNames is the request of the calls that need only names. Each call has its own fields.
type wireNames struct {
	Name string `json:"name,omitempty"`
	User string `json:"user,omitempty"`
	Role string `json:"role,omitempty"`
}
