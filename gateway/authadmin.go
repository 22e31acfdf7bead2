package gateway

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Auth manages authentication, users and roles; [Client.Auth] returns it. It may be copied and is
// safe for concurrent use.
type Auth struct{ client *Client }

// Auth returns the calls about authentication, users and roles. It sends nothing.
func (c *Client) Auth() Auth { return Auth{c} }

// Enable turns authentication on. From then on every request needs a token, and clients without a
// Username get ErrUnauthenticated. etcd rejects the call, with an [*Error] of
// CodeFailedPrecondition, unless there is a user root with the role root. It may be repeated, and
// is retried at other endpoints until ctx ends. Returns ErrUncertain when ctx ends after an attempt
// may have been applied.
func (a Auth) Enable(ctx context.Context) error {
	r := &call{op: "auth enable", path: "/auth/enable", write: true, repeat: true}
	return unary(ctx, a.client, r, struct{}{}, headerOnly)
}

// Disable turns authentication off; users and roles are kept. It returns nil if authentication is
// off already. It may be repeated, and is retried at other endpoints until ctx ends. Returns
// ErrUncertain when ctx ends after an attempt may have been applied.
func (a Auth) Disable(ctx context.Context) error {
	r := &call{op: "auth disable", path: "/auth/disable", write: true, repeat: true}
	return unary(ctx, a.client, r, struct{}{}, headerOnly)
}

// AuthStatusResponse is the state of authentication.
type AuthStatusResponse struct {
	Header
	Enabled  bool
	Revision uint64 // increases with each change of users, roles and settings
}

// Status returns whether authentication is on. It is retried at other endpoints until ctx ends.
// With authentication on, before etcd 3.7, it needs a user with the role root. Returns
// [errors.ErrUnsupported] from etcd 3.4, which has no such call.
func (a Auth) Status(ctx context.Context) (*AuthStatusResponse, error) {
	type answer struct {
		Header   etcdjson.Header `json:"header"`
		Enabled  bool            `json:"enabled"`
		Revision etcdjson.Uint64 `json:"authRevision"`
	}
	var out *AuthStatusResponse
	r := &call{op: "auth status", path: "/auth/status", repeat: true, local: true}
	err := unary(ctx, a.client, r, struct{}{}, func(w *answer) (etcdjson.Header, error) {
		out = &AuthStatusResponse{
			Header: headerOf(w.Header), Enabled: w.Enabled, Revision: uint64(w.Revision),
		}
		return w.Header, nil
	})
	return out, err
}

// AuthenticateResponse holds the token of a log-in.
type AuthenticateResponse struct {
	Header
	Token Secret // for an Authorization header
}

// Authenticate logs in and returns a token for use outside of this client: the client itself logs
// in as Config says. It is retried at other endpoints until ctx ends. Returns ErrUnauthenticated
// when the name or the password is wrong, and ErrAuthNotEnabled when authentication is off.
func (a Auth) Authenticate(
	ctx context.Context, name string, password Secret,
) (*AuthenticateResponse, error) {
	if why := badCredentials(name, password); why != "" {
		return nil, invalid(opLogin, "%s", why)
	}
	return a.client.logIn(ctx, name, password)
}

const opLogin = "authenticate"

func (c *Client) logIn(
	ctx context.Context, name string, password Secret,
) (*AuthenticateResponse, error) {
	body, err := json.Marshal(wireUser{Name: name, Password: string(password)})
	if err != nil {
		return nil, invalid(opLogin, "%v", err)
	}
	var out *AuthenticateResponse
	r := &call{op: opLogin, path: "/auth/authenticate", body: body, repeat: true, noAuth: true}
	r.answer = func(b []byte) (etcdjson.Header, error) {
		var a struct {
			Header etcdjson.Header `json:"header"`
			Token  string          `json:"token"`
		}
		if err := json.Unmarshal(b, &a); err != nil {
			// The error does not quote the body, because it may hold the token.
			return a.Header, &Error{
				Code: CodeUnauthenticated, Message: "unreadable answer to a log-in",
			}
		}
		if a.Token == "" {
			return a.Header, &Error{
				Code: CodeUnauthenticated, Message: "no token in the answer to a log-in",
			}
		}
		out = &AuthenticateResponse{Header: headerOf(a.Header), Token: Secret(a.Token)}
		return a.Header, nil
	}
	return out, c.do(ctx, r)
}

// badCredentials returns why JSON or etcd would change or misread the credentials silently.
func badCredentials(name string, password Secret) string {
	switch {
	case name == "":
		return "no user name"
	case !utf8.ValidString(name) || !utf8.ValidString(string(password)):
		return "a user name or password that is not UTF-8"
	}
	return ""
}

// wireUser is sent and never printed, because it holds a password.
type wireUser struct {
	Name     string           `json:"name"`
	Password string           `json:"password,omitempty"`
	Options  *wireUserOptions `json:"options,omitempty"`
}

type wireUserOptions struct {
	NoPassword bool `json:"no_password"`
}
