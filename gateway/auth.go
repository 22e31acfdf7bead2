package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// auth holds the token of the configured user. It is got by one caller at a time, whoever comes first, and used until
// a server refuses it.
type auth struct {
	c    *Client
	turn chan struct{} // held while logging in; guards failed and at

	failed *Error // the last log-in, if it was refused
	at     time.Time

	mu    sync.Mutex
	token Secret
}

// loginPause keeps a fleet with a wrong password from storming the server: bcrypt makes each log-in expensive.
const loginPause = time.Second

func (a *auth) enabled() bool { return a.c.cfg.Username != "" }

// tokenFor gives the token to send with a call, logging in if there is none.
func (a *auth) tokenFor(ctx context.Context, r *call) (Secret, error) {
	if !a.enabled() || r.noAuth {
		return "", nil
	}
	if token := a.current(); token != "" {
		return token, nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", a.c.ended(ctx, r, nil)
	}
	if token := a.current(); token != "" { // got by whoever was first
		return token, nil
	}
	if a.failed != nil && time.Since(a.at) < loginPause {
		return "", a.failed
	}
	var answer struct {
		Header wireHeader `json:"header"`
		Token  string     `json:"token"`
	}
	body, err := json.Marshal(map[string]string{"name": a.c.cfg.Username, "password": string(a.c.cfg.Password)})
	if err != nil {
		return "", err
	}
	login := &call{op: "authenticate", path: "/auth/authenticate", body: body, repeat: true, noAuth: true}
	login.answer = func(b []byte) (wireHeader, error) {
		if err := json.Unmarshal(b, &answer); err != nil {
			// Not quoted further up: the body may hold the token.
			return answer.Header, &Error{Code: CodeUnauthenticated, Message: "unreadable answer to a log-in"}
		}
		if answer.Token == "" {
			return answer.Header, &Error{Code: CodeUnauthenticated, Message: "no token in the answer to a log-in"}
		}
		return answer.Header, nil
	}
	err = a.c.do(ctx, login)
	a.failed, a.at = nil, time.Now()
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && !e.elsewhere() && ctx.Err() == nil {
			a.failed = e
		}
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = Secret(answer.Token)
	return a.token, nil
}

func (a *auth) current() Secret {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

// mayHelp tells whether logging in again could cure an error that a server gave.
func (a *auth) mayHelp(e *Error) bool { return a.enabled() && e.aboutToken() }

// drop forgets a token that a server refused, unless somebody has renewed it already.
func (a *auth) drop(token Secret) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}
