package gateway

import (
	"context"
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
	off   bool // the cluster's auth is off, as of the last log-in: there is no token and none is needed
}

// loginPause keeps a fleet with a wrong password from storming the server: bcrypt makes each log-in expensive.
const loginPause = time.Second

func (a *auth) enabled() bool { return a.c.cfg.Username != "" }

// tokenFor gives the token to send with a call, logging in if there is none. It is empty where auth is off, so that the
// client that is to turn it on can be made with the password that counts from then on.
func (a *auth) tokenFor(ctx context.Context, r *call) (Secret, error) {
	if !a.enabled() || r.noAuth {
		return "", nil
	}
	if token, known := a.current(); known {
		return token, nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", a.c.ended(ctx, r, nil)
	}
	if token, known := a.current(); known { // got by whoever was first
		return token, nil
	}
	if a.failed != nil && time.Since(a.at) < loginPause {
		return "", a.failed
	}
	answer, err := a.c.logIn(ctx, a.c.cfg.Username, a.c.cfg.Password)
	a.failed, a.at = nil, time.Now()
	if errors.Is(err, ErrAuthNotEnabled) {
		a.set("", true)
		return "", nil
	}
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && !e.elsewhere() && ctx.Err() == nil {
			a.failed = e
		}
		return "", err
	}
	a.set(answer.Token, false)
	return answer.Token, nil
}

func (a *auth) set(token Secret, off bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token, a.off = token, off
}

// current gives the token to send, if it is known what to send.
func (a *auth) current() (token Secret, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token, a.token != "" || a.off
}

// mayHelp tells whether logging in again could cure an error that a server gave.
func (a *auth) mayHelp(e *Error) bool { return a.enabled() && e.aboutToken() }

// drop forgets a token that a server refused, unless somebody has renewed it already.
func (a *auth) drop(token Secret) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token, a.off = "", false
	}
}
