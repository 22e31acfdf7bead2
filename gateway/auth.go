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

	silent  int       // attempts in a row that carried the token and that etcd did not answer
	streams int       // the same of streams of watches
	doubted time.Time // when the token was last suspected of it
	pause   time.Duration
}

const (
	// loginPause keeps a fleet with a wrong password from storming the server: bcrypt makes each log-in expensive.
	loginPause = time.Second
	// loginTime bounds a log-in that no caller waits for, or whose caller has less time.
	loginTime = 10 * time.Second
	// Something on the way may refuse an old token without a word: after so many attempts without an answer a new one is
	// tried, at most as often as the pauses between say, because it is far more likely that etcd is not there.
	silentMost    = 3
	maxDoubtPause = 30 * time.Second
)

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
	return a.logIn(ctx)
}

// logIn gets a token and keeps it. The caller holds the turn.
func (a *auth) logIn(ctx context.Context) (Secret, error) {
	if a.failed != nil && time.Since(a.at) < loginPause {
		return "", a.failed
	}
	var answer *AuthenticateResponse
	password, err := a.c.password(ctx)
	if err == nil {
		answer, err = a.c.logIn(ctx, a.c.cfg.Username, password)
	}
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
	a.token, a.off, a.silent, a.streams = token, off, 0, 0
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

// note looks at the end of an attempt that carried a token. When several in a row had no answer of etcd's, it gets another
// token behind the callers' backs. The old one stays in use until then: it may be as good.
func (a *auth) note(token Secret, e *Error) {
	if token != "" && (e == nil || !e.cutOff) {
		a.count(&a.silent, token, e != nil && e.wordless)
	}
}

// noteStream looks at the end of a stream of watches that carried a token.
// Streams are counted apart, because something on the way may let only one kind of request pass.
func (a *auth) noteStream(token Secret, unanswered bool) {
	if token != "" {
		a.count(&a.streams, token, unanswered)
	}
}

// count gets another token when several requests of one kind in a row had no answer.
func (a *auth) count(silent *int, token Secret, unanswered bool) {
	a.mu.Lock()
	switch {
	case token != a.token:
	case unanswered:
		*silent++
	default:
		*silent = 0
	}
	renew := token == a.token && *silent >= silentMost && a.mayDoubt()
	a.mu.Unlock()
	if renew {
		a.c.spawn(func() { a.replace(token) })
	}
}

// refusedWordlessly drops a token that may be the reason why something that is not etcd refused a request. It reports false
// if the token was suspected lately.
func (a *auth) refusedWordlessly(token Secret, e *Error) bool {
	if token == "" || !e.wordless || !e.unsent {
		return false
	}
	a.mu.Lock()
	doubt := a.token != token || a.mayDoubt()
	a.mu.Unlock()
	if doubt {
		a.drop(token)
	}
	return doubt
}

// mayDoubt bounds how often a token is replaced on suspicion. The caller holds mu.
func (a *auth) mayDoubt() bool {
	now := time.Now()
	switch since := now.Sub(a.doubted); {
	case a.doubted.IsZero(), since > 2*maxDoubtPause:
		a.pause = loginPause
	case since < a.pause:
		return false
	default:
		a.pause = min(2*a.pause, maxDoubtPause)
	}
	a.doubted = now
	return true
}

// replace logs in although there is a token.
func (a *auth) replace(token Secret) {
	ctx, cancel := context.WithTimeout(a.c.ctx, loginTime)
	defer cancel()
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return
	}
	if now, _ := a.current(); now != token {
		return
	}
	if _, err := a.logIn(ctx); err != nil {
		a.c.log.Debug("login_failed", "err", err)
	}
}
