package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// tokens plays a member behind a proxy that rejects old tokens in its own way.
type tokens struct {
	mu     sync.Mutex
	logins int
	valid  int // the oldest token that passes
	after  time.Duration
}

// handle serves requests whose token is not old. stream, if given, serves streams of watches.
func (k *tokens) handle(
	refuse func(w http.ResponseWriter, r request), stream ...func(w http.ResponseWriter, r request),
) func(w http.ResponseWriter, r request) {
	return func(w http.ResponseWriter, r request) {
		if strings.HasSuffix(r.URL.Path, "/authenticate") {
			time.Sleep(k.after)
			k.mu.Lock()
			k.logins++
			n := k.logins
			k.mu.Unlock()
			answer(w, http.StatusOK, fmt.Sprintf(`{%s,"token":"%d"}`, header, n))
			return
		}
		var n int
		_, _ = fmt.Sscan(r.Header.Get("Authorization"), &n)
		k.mu.Lock()
		old := n < k.valid
		k.mu.Unlock()
		switch {
		case old:
			refuse(w, r)
		case strings.HasSuffix(r.URL.Path, "/watch") && len(stream) > 0:
			stream[0](w, r)
		case strings.HasSuffix(r.URL.Path, "/keepalive"):
			answer(w, http.StatusOK, `{"result":{`+header+`,"ID":"1","TTL":"15"}}`)
		default:
			ok(w)
		}
	}
}

// expire makes all tokens so far old.
func (k *tokens) expire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.valid = k.logins + 1
}

func (k *tokens) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.logins
}

// wordless are ways to reject a token without an error that names it.
var wordless = map[string]func(w http.ResponseWriter, r request){
	"closes":    func(http.ResponseWriter, request) { drop() },
	"hangs":     func(_ http.ResponseWriter, r request) { hang(r) },
	"empty 400": func(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusBadRequest) },
	"empty 401": func(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusUnauthorized) },
	"empty 403": func(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusForbidden) },
	"page 403": func(w http.ResponseWriter, _ request) {
		http.Error(w, "<html>", http.StatusForbidden)
	},
	"empty 502": func(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusBadGateway) },
}

// TestASessionOutlivesAnOldTokenThatIsRefusedWordlessly: a session is renewed in spite of it, with
// a log-in that takes longer than a renewal may.
func TestASessionOutlivesAnOldTokenThatIsRefusedWordlessly(t *testing.T) {
	t.Parallel()
	for name, refuse := range wordless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &tokens{after: 1900 * time.Millisecond}
				cl := newCluster(t, 1, k.handle(refuse))
				c := cl.client(t, withUser)
				var mu sync.Mutex
				var renewed time.Time
				var longest time.Duration
				start := time.Now()
				stop := c.KeepAlive(gateway.LeaseGrant{ID: 1, TTL: 15 * time.Second, Sent: start},
					func(g gateway.LeaseGrant) {
						mu.Lock()
						defer mu.Unlock()
						longest = max(longest, g.Sent.Sub(cmpTime(renewed, start)))
						renewed = g.Sent
					})
				defer stop()
				for range 3 {
					time.Sleep(time.Minute)
					k.expire()
				}
				time.Sleep(time.Minute)
				// not for longer, because a goroutine that waits for a mutex stops the fake clock
				mu.Lock()
				gap, last := longest, time.Since(renewed)
				mu.Unlock()
				if gap > 14*time.Second || last > 6*time.Second {
					t.Errorf("%v between two renewals; the last was %v ago", gap, last)
				}
				if n := k.count(); n != 4 {
					t.Errorf("%d log-ins, want 4", n)
				}
				k.expire()
				_, err := c.Get(within(t, time.Minute), "k")
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func cmpTime(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// TestAWriteThatEtcdDidNotReceiveIsSentWithANewToken: if the rejection shows that etcd has not
// received a write, it is sent again with a new token.
func TestAWriteThatEtcdDidNotReceiveIsSentWithANewToken(t *testing.T) {
	t.Parallel()
	for name, refuse := range wordless {
		if !strings.Contains(name, " 40") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &tokens{}
				c := newCluster(t, 1, k.handle(refuse)).client(t, withUser)
				for range 3 {
					if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
						t.Error(err)
					}
					k.expire()
					time.Sleep(2 * time.Minute)
				}
			})
		})
	}
}

// TestOutageIsNoReasonToLogIn: while nothing answers at all, log-ins are few, and none replaces a
// token that works.
func TestOutageIsNoReasonToLogIn(t *testing.T) {
	t.Parallel()
	for name, refuse := range wordless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &tokens{}
				c := newCluster(t, 1, k.handle(refuse)).client(t, withUser)
				if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
					t.Fatal(err)
				}
				k.mu.Lock()
				k.valid = 1 << 30 // no token helps
				k.mu.Unlock()
				ctx := within(t, 10*time.Minute)
				for ctx.Err() == nil {
					_, _ = c.Get(ctx, "k")
					time.Sleep(300 * time.Millisecond)
				}
				if n := k.count(); n > 40 {
					t.Errorf("%d log-ins in 10 minutes", n)
				}
			})
		})
	}
}

// TestThePasswordFunctionIsCalledBeforeEachLogIn: the function is called before each log-in, and at
// no other time.
func TestThePasswordFunctionIsCalledBeforeEachLogIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		good := "two"
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			switch {
			case !strings.HasSuffix(r.URL.Path, "/authenticate"):
				if r.Header.Get("Authorization") != good+".1" {
					answer(w, http.StatusUnauthorized,
						`{"code":16,"message":"etcdserver: invalid auth token"}`)
					return
				}
				ok(w)
			case strings.Contains(r.body, `"`+good+`"`):
				sent = append(sent, r.body)
				answer(w, http.StatusOK, `{`+header+`,"token":"`+good+`.1"}`)
			default:
				sent = append(sent, r.body)
				answer(w, http.StatusBadRequest,
					`{"code":3,"message":"etcdserver: authentication failed, invalid user ID or `+
						`password"}`)
			}
		})
		password, passwordErr := gateway.Secret("two"), error(nil)
		c := cl.client(t, withUser, func(cfg *gateway.Config) {
			cfg.Password = ""
			cfg.PasswordFunc = func(context.Context) (gateway.Secret, error) {
				return password, passwordErr
			}
		})
		get := func() error { _, err := c.Get(within(t, time.Minute), "k"); return err }
		if err := get(); err != nil {
			t.Error(err)
		}
		good = "three" // at the server first
		wantErr(t, get(), list(gateway.ErrUnauthenticated), nil)
		password = "three"
		time.Sleep(2 * time.Second)
		if err := get(); err != nil {
			t.Error(err)
		}
		good, password = "four", ""
		err := get()
		wantErr(t, err, nil, list(gateway.ErrUnavailable, context.DeadlineExceeded))
		if err == nil || !strings.Contains(err.Error(), "no password") {
			t.Errorf("without a password: %v", err)
		}
		passwordErr = errors.New("vault is sealed")
		time.Sleep(2 * time.Second)
		if err := get(); !errors.Is(err, passwordErr) {
			t.Errorf("%v, want the function's own error", err)
		}
		if len(sent) != 3 {
			t.Errorf("%d log-ins", len(sent))
		}
	})
	for name, cfg := range map[string]gateway.Config{
		"both":    {Username: "u", Password: "p", PasswordFunc: gateway.PasswordFile("f")},
		"no user": {PasswordFunc: gateway.PasswordFile("f")},
	} {
		cfg.Endpoints = []string{"https://a"}
		_, err := gateway.New(cfg)
		if err == nil || !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
