package fakeetcd

import (
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

var (
	errUserEmpty    = &refusal{gateway.CodeInvalidArgument, "user name is empty"}
	errBadToken     = &refusal{gateway.CodeUnauthenticated, "invalid auth token"}
	errDenied       = &refusal{gateway.CodePermissionDenied, "permission denied"}
	errAuthOff      = &refusal{gateway.CodeFailedPrecondition, "authentication is not enabled"}
	errNoRootUser   = &refusal{gateway.CodeFailedPrecondition, "root user does not exist"}
	errNoRootRole   = &refusal{gateway.CodeFailedPrecondition, "root user does not have root role"}
	errUserExists   = &refusal{gateway.CodeFailedPrecondition, "user name already exists"}
	errUserNotFound = &refusal{gateway.CodeFailedPrecondition, "user name not found"}
	errRoleExists   = &refusal{gateway.CodeFailedPrecondition, "role name already exists"}
	errRoleEmpty    = &refusal{gateway.CodeInvalidArgument, "role name is empty"}
	errRoleNotFound = &refusal{gateway.CodeFailedPrecondition, "role name not found"}
	errAuthFailed   = &refusal{
		gateway.CodeInvalidArgument, "authentication failed, invalid user ID or password",
	}
)

// root is the name of the user and of the role that may do everything.
const root = "root"

// tokenTTL is the time after which an unused token expires.
const tokenTTL = 5 * time.Minute

// auth has the users, roles and tokens. The zero auth is turned off and has none.
type auth struct {
	enabled bool
	users   map[string]*user
	roles   map[string]*role
	tokens  map[string]*token
}

type user struct {
	password string
	roles    map[string]bool
}

type token struct {
	user    *user
	expires time.Time
}

// whoIs returns the user with a token. It is nil while authentication is off.
func (a *auth) whoIs(text string) (*user, error) {
	if !a.enabled {
		return nil, nil //nolint:nilnil // there is no user
	}
	if text == "" {
		return nil, errUserEmpty
	}
	t := a.tokens[text]
	if t == nil || time.Now().After(t.expires) {
		return nil, errBadToken
	}
	t.expires = time.Now().Add(tokenTTL)
	return t.user, nil
}

// logOut ends the tokens of a user.
func (a *auth) logOut(u *user) {
	maps.DeleteFunc(a.tokens, func(_ string, t *token) bool { return t.user == u })
}

type authRequest struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	User     string `json:"user"`
	Role     string `json:"role"`
	Perm     struct {
		Type string         `json:"permType"`
		Key  etcdjson.Bytes `json:"key"`
		End  etcdjson.Bytes `json:"range_end"`
	} `json:"perm"`
}

type authAnswer struct {
	answer
	Token string `json:"token,omitempty"`
}

func (s *Server) authenticate(r *authRequest) (*authAnswer, error) {
	u := s.auth.users[r.Name]
	switch {
	case !s.auth.enabled:
		return nil, errAuthOff
	case u == nil || u.password != r.Password:
		return nil, errAuthFailed
	}
	text := rand.Text()
	s.auth.tokens[text] = &token{u, time.Now().Add(tokenTTL)}
	return &authAnswer{Token: text}, nil
}

func (s *Server) enable(*authRequest) (*authAnswer, error) {
	switch u := s.auth.users[root]; {
	case s.auth.enabled:
	case u == nil:
		return nil, errNoRootUser
	case !u.roles[root]:
		return nil, errNoRootRole
	default:
		s.auth.enabled, s.auth.tokens = true, map[string]*token{}
	}
	return &authAnswer{}, nil
}

func (s *Server) disable(*authRequest) (*authAnswer, error) {
	s.auth.enabled = false
	return &authAnswer{}, nil
}

func (s *Server) addUser(r *authRequest) (*authAnswer, error) {
	switch {
	case r.Name == "":
		return nil, errUserEmpty
	case s.auth.users[r.Name] != nil:
		return nil, errUserExists
	case s.auth.users == nil:
		s.auth.users = map[string]*user{}
	}
	s.auth.users[r.Name] = &user{r.Password, map[string]bool{}}
	return &authAnswer{}, nil
}

func (s *Server) changePassword(r *authRequest) (*authAnswer, error) {
	u := s.auth.users[r.Name]
	if u == nil {
		return nil, errUserNotFound
	}
	u.password = r.Password
	s.auth.logOut(u)
	return &authAnswer{}, nil
}

func (s *Server) grantRole(r *authRequest) (*authAnswer, error) {
	u := s.auth.users[r.User]
	switch {
	case u == nil:
		return nil, errUserNotFound
	case r.Role != root && s.auth.roles[r.Role] == nil:
		return nil, errRoleNotFound
	}
	u.roles[r.Role] = true
	return &authAnswer{}, nil
}

func (s *Server) addRole(r *authRequest) (*authAnswer, error) {
	switch {
	case r.Name == "":
		return nil, errRoleEmpty
	case s.auth.roles[r.Name] != nil:
		return nil, errRoleExists
	case s.auth.roles == nil:
		s.auth.roles = map[string]*role{}
	}
	s.auth.roles[r.Name] = &role{}
	return &authAnswer{}, nil
}

func (s *Server) grantPermission(r *authRequest) (*authAnswer, error) {
	granted := s.auth.roles[r.Name]
	if granted == nil {
		return nil, errRoleNotFound
	}
	p := permission{
		keys:  interval(string(r.Perm.Key), string(r.Perm.End)),
		read:  r.Perm.Type != "WRITE", // the first name of the enumeration is READ
		write: r.Perm.Type == "WRITE" || r.Perm.Type == "READWRITE",
	}
	granted.permissions = slices.DeleteFunc(granted.permissions, func(old permission) bool {
		return old.keys == p.keys
	})
	granted.permissions = append(granted.permissions, p)
	return &authAnswer{}, nil
}
