package gateway

import (
	"context"
	"errors"
	"sync"
	"time"
)

// auth holds the token of the configured user. One caller at a time logs in; the token is used
// until a server rejects it.
type auth struct {
	c    *Client
	turn chan struct{} // held during a log-in; guards failed and at

	failed *Error // the last log-in, if it was rejected
	at     time.Time

	mu    sync.Mutex
	token Secret
	// off says that the last log-in found the cluster's auth off: there is no token, and none is
	// needed.
	off bool

	silent  int       // attempts in a row with the token that etcd did not answer
	streams int       // the same count for streams of watches
	doubted time.Time // when the token was last suspected as the cause
	pause   time.Duration
}

const (
	// loginPause keeps many clients with a wrong password from overloading the server, because
	// bcrypt makes each log-in expensive.
	loginPause = time.Second
	// loginTime bounds a log-in that no caller waits for, or whose caller has less time.
	loginTime = 10 * time.Second
	// A proxy may drop requests with an old token without an answer. After silentMost unanswered
	// attempts a new token is tried. The pauses between such tries grow, because an etcd that is
	// down is the far more likely cause.
	silentMost    = 3
	maxDoubtPause = 30 * time.Second
)

func (a *auth) enabled() bool { return a.c.cfg.Username != "" }

// tokenFor returns the token to send with a call, and logs in if there is none. It is empty while
// auth is off, so that a client made with the future password can turn auth on.
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
	if token, known := a.current(); known { // another caller has logged in
		return token, nil
	}
	return a.logIn(ctx)
}

// logIn logs in and keeps the token. The caller holds the turn.
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

// current returns the token to send. It reports false if a log-in is needed first.
func (a *auth) current() (token Secret, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token, a.token != "" || a.off
}

// mayHelp reports whether a log-in could cure an error that a server returned.
func (a *auth) mayHelp(e *Error) bool { return a.enabled() && e.aboutToken() }

// drop forgets a token that a server rejected, unless it has been renewed already.
func (a *auth) drop(token Secret) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token, a.off = "", false
	}
}

// note counts attempts that carried a token. After several in a row without an answer from etcd it
// logs in again in the background. The old token stays in use until then, because it may still be
// good.
func (a *auth) note(token Secret, e *Error) {
	if token != "" && (e == nil || !e.cutOff) {
		a.count(&a.silent, token, e != nil && e.wordless)
	}
}

// noteStream counts streams of watches that carried a token. They are counted apart from attempts,
// because a proxy may pass only one kind of request.
func (a *auth) noteStream(token Secret, unanswered bool) {
	if token != "" {
		a.count(&a.streams, token, unanswered)
	}
}

// count logs in again when several requests of one kind in a row had no answer.
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

// refusedWordlessly drops a token that may be the reason why a proxy rejected a request. It reports
// false if the token was suspected lately.
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
