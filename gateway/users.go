package gateway

import (
	"context"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// The calls about users and roles take the user root once auth is on, and change the cluster whether it is on or off.
// Those that may be repeated go on at other endpoints until ctx ends.

// UserAdd makes a user with a password. When its fate is unknown it returns ErrUncertain: look at UserList. A name that is
// taken is ErrExists.
func (a Auth) UserAdd(ctx context.Context, name string, password Secret) error {
	const op = "user add"
	if password == "" {
		return invalid(op, "no password: use UserAddWithoutPassword")
	}
	return a.userAdd(ctx, op, name, password, wireUser{Name: name, Password: string(password)})
}

// UserAddWithoutPassword makes a user who cannot log in with a password, only by the name in a client certificate, which the
// gateway does not take: a user for clients that speak gRPC. It ends as UserAdd does.
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

// UserGet gives the roles of a user, sorted. A user that does not exist is ErrNotFound. Users may ask for themselves.
func (a Auth) UserGet(ctx context.Context, name string) (roles []string, err error) {
	r := &call{op: "user get", path: "/auth/user/get", repeat: true, local: true}
	return a.names(ctx, r, wireNames{Name: name}, name)
}

// UserList gives the names of all users, sorted.
func (a Auth) UserList(ctx context.Context) (users []string, err error) {
	r := &call{op: "user list", path: "/auth/user/list", repeat: true, local: true}
	return a.names(ctx, r, struct{}{})
}

// UserDelete deletes a user. One that does not exist is ErrNotFound. It may be repeated.
func (a Auth) UserDelete(ctx context.Context, name string) error {
	r := &call{op: "user delete", path: "/auth/user/delete", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireNames{Name: name}, name)
}

// UserChangePassword gives a user another password, and ends the user's tokens: a client that logs in as that user must be
// made anew. It may be repeated. A user that does not exist is ErrNotFound.
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

// UserGrantRole gives a user a role; one that the user has is a success. A user or role that does not exist is ErrNotFound.
// It may be repeated.
func (a Auth) UserGrantRole(ctx context.Context, user, role string) error {
	r := &call{op: "user grant role", path: "/auth/user/grant", write: true, repeat: true}
	return a.change(ctx, r, wireNames{User: user, Role: role}, user, role)
}

// UserRevokeRole takes a role from a user. A user that does not exist or does not have the role is ErrNotFound. It may be
// repeated.
func (a Auth) UserRevokeRole(ctx context.Context, user, role string) error {
	r := &call{op: "user revoke role", path: "/auth/user/revoke", write: true, repeat: true}
	r.settled = settledBy(ErrNotFound)
	return a.change(ctx, r, wireNames{Name: user, Role: role}, user, role)
}

// settledBy is for calls whose repetition meets the effect of the one before as an error.
func settledBy(effect error) func(*Error) bool { return func(e *Error) bool { return e.Is(effect) } }

// change sends a request that is made of names.
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

// names sends a request that is answered with names.
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

// wireNames is the request of the calls that need but names. Each call has words of its own for them.
type wireNames struct {
	Name string `json:"name,omitempty"`
	User string `json:"user,omitempty"`
	Role string `json:"role,omitempty"`
}
