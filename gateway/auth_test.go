package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// guarded is a cluster with auth on. It issues token.1, token.2 …, and accepts the token in valid.
type guarded struct {
	*cluster
	valid   atomic.Int64 // the only token accepted
	logins  atomic.Int64
	refusal func(w http.ResponseWriter) // the answer to other tokens
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{refusal: func(w http.ResponseWriter) {
		etcdError(w, 401, 16, "etcdserver: invalid auth token")
	}}
	g.valid.Store(1)
	g.cluster = newCluster(t, 1, func(w http.ResponseWriter, r request) {
		time.Sleep(10 * time.Millisecond)
		switch {
		case r.URL.Path == "/v3/auth/authenticate":
			if r.Header.Get("Authorization") != "" {
				t.Error("a log-in with a token")
			}
			if r.body != `{"name":"root","password":"`+canaryPassword+`"}` {
				t.Errorf("log-in with %s", r.body)
			}
			answer(w, 200, fmt.Sprintf(`{%s,"token":"token.%d"}`, header, g.logins.Add(1)))
		case r.Header.Get("Authorization") != fmt.Sprintf("token.%d", g.valid.Load()):
			g.refusal(w)
		default:
			ok(w)
		}
	})
	return g
}

// TestOneLogInServesAllCallersOfAnExpiredToken: for every form of the server's error, one log-in
// serves all callers, and no write is lost or sent twice.
func TestOneLogInServesAllCallersOfAnExpiredToken(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]func(http.ResponseWriter){
		"invalid token": func(w http.ResponseWriter) {
			etcdError(w, 401, 16, "etcdserver: invalid auth token")
		},
		"old revision": func(w http.ResponseWriter) {
			etcdError(w, 400, 3, "etcdserver: revision of auth store is old")
		},
		"no user name": func(w http.ResponseWriter) {
			etcdError(w, 400, 3, "etcdserver: user name is empty")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGuarded(t)
				g.refusal = refusal
				c := g.client(t, withUser)
				all := func() {
					var wg sync.WaitGroup
					for i := range 50 {
						wg.Go(func() {
							if _, err := c.Put(within(t, time.Minute), fmt.Sprint(i),
								nil); err != nil {
								t.Error(err)
							}
						})
					}
					wg.Wait()
				}
				all()
				if n := g.logins.Load(); n != 1 {
					t.Errorf("%d log-ins of 50 callers", n)
				}
				g.valid.Store(2)
				all()
				if n := g.logins.Load(); n != 2 {
					t.Errorf("%d log-ins after the token had expired once", n)
				}
			})
		})
	}
}

// TestANewTokenThatIsRejectedTooIsAnError: if a new token is rejected too, the call returns the
// error.
func TestANewTokenThatIsRejectedTooIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t)
		g.valid.Store(-1)
		c := g.client(t, withUser)
		_, err := c.Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrUnauthenticated),
			list(gateway.ErrInvalid, context.DeadlineExceeded))
		_, err = c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrUnauthenticated), list(gateway.ErrUncertain))
		if n := g.logins.Load(); n > 4 {
			t.Errorf("%d log-ins for two calls", n)
		}
	})
}

// TestAWrongPasswordIsTriedOnceASecond: the client logs in once a second at most, with any number
// of callers and a slow server.
func TestAWrongPasswordIsTriedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l logs
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			time.Sleep(1500 * time.Millisecond)
			etcdError(w, 400, 3, "etcdserver: authentication failed, invalid user ID or password")
		})
		c := cl.client(t, withUser, func(cfg *gateway.Config) {
			cfg.Logger = l.logger()
			cfg.AttemptTimeout = 10 * time.Second
		})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := c.Get(within(t, time.Minute), "k")
				wantErr(t, err, list(gateway.ErrUnauthenticated), list(gateway.ErrUnavailable))
				noCanary(t, forms(err)...)
			})
		}
		wg.Wait()
		if n := len(cl.requests()); n != 1 {
			t.Errorf("%d log-ins", n)
		}
		time.Sleep(time.Second)
		_, err := c.Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrUnauthenticated), nil)
		if n := len(cl.requests()); n != 2 {
			t.Errorf("%d log-ins, the second caller came a second later", n)
		}
		noCanary(t, l.String())
	})
}

// TestTheErrorOfALogInDoesNotContainItsAnswer: the error of an unreadable answer does not contain
// the answer.
func TestTheErrorOfALogInDoesNotContainItsAnswer(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]string{
		"no token":   "{" + header + "}",
		"wrong type": `{"token":{"x":"` + canaryToken + `"}}`,
		"cut off":    `{"token":"` + canaryToken,
		"text":       canaryToken,
		"newline":    `{"token":"` + canaryToken + `\n"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l logs
				cl := newCluster(t, 1, body(b))
				c := cl.client(t, withUser, func(cfg *gateway.Config) { cfg.Logger = l.logger() })
				_, err := c.Put(within(t, 3*time.Second), "k", nil)
				wantErr(t, err, nil, nil)
				noCanary(t, append(forms(err), l.String())...)
				for _, r := range cl.requests() {
					if !strings.HasPrefix(r.URL.Path, "/v3/auth/") {
						t.Errorf("%s was asked without a token", r.URL.Path)
					}
				}
			})
		})
	}
}

// TestAHangingLogInDelaysNoOtherCaller: a log-in that hangs for one caller delays no other beyond
// its own context, even if the other's token was just rejected.
func TestAHangingLogInDelaysNoOtherCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hanging atomic.Bool
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			switch {
			case r.URL.Path != "/v3/auth/authenticate" && !hanging.Load():
				ok(w)
			case r.URL.Path != "/v3/auth/authenticate":
				if strings.Contains(r.body, "c2xvdw==") { // "slow"
					time.Sleep(500 * time.Millisecond)
				}
				etcdError(w, 401, 16, "etcdserver: invalid auth token")
			case hanging.Load():
				hang(r)
			default:
				answer(w, 200, login)
			}
		})
		c := cl.client(t, withUser)
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Fatal(err)
		}
		hanging.Store(true)
		// drops the token and logs in, for an hour
		go func() { _, _ = c.Get(within(t, time.Hour), "k") }()
		synctest.Wait()
		for _, key := range []string{"slow", "k"} {
			start := time.Now()
			_, err := c.Get(within(t, 700*time.Millisecond), key)
			wantErr(t, err, list(context.DeadlineExceeded), nil)
			if took := time.Since(start); took != 700*time.Millisecond {
				t.Errorf("%s returned after %v", key, took)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
