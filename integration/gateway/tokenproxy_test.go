package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// oldTokens is a proxy before a member. It closes the connection of a request whose token it
// considers old.
type oldTokens struct {
	*httptest.Server

	mu     sync.Mutex
	seen   map[string]bool // true: old
	closed int             // number of closed requests
}

func newOldTokens(t *testing.T, target string) *oldTokens {
	t.Helper()
	u := must(url.Parse(target))(t)
	p := &oldTokens{seen: map[string]bool{}}
	forward := httputil.NewSingleHostReverseProxy(u)
	forward.FlushInterval = -1
	transport := &http.Transport{}
	forward.Transport = transport
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.Header.Get("Authorization"); token != "" && p.old(token) {
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
		transport.CloseIdleConnections()
	})
	return p
}

func (p *oldTokens) old(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.seen[token]
	p.seen[token] = old
	if old {
		p.closed++
	}
	return old
}

// expire makes all tokens that were used so far old, and breaks all connections.
func (p *oldTokens) expire() {
	p.mu.Lock()
	for token := range p.seen {
		p.seen[token] = true
	}
	p.mu.Unlock()
	p.CloseClientConnections()
}

// TestAClientThatOnlyWatchesGetsANewToken: a client that only watches, through a proxy that closes
// requests with an old token, logs in again.
func TestAClientThatOnlyWatchesGetsANewToken(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		o := recipetest.Server(version)
		o.RootPassword = canary
		c := etcdtest.Start(t, o)
		p := newOldTokens(t, c.Endpoints()[0])
		as := func(endpoint string) *gateway.Client {
			return newClient(t, gateway.Config{
				Endpoints: []string{endpoint}, AllowPlaintextAuth: true, Username: "root",
				Password: canary,
			})
		}
		direct := as(c.Endpoints()[0])
		ctx := within(t, time.Minute)
		next := watching(ctx, t, as(p.URL), "watched")
		for value := range strings.FieldsSeq("one two three") {
			p.expire()
			must(direct.Put(ctx, "watched", []byte(value)))(t)
			began := time.Now()
			next(value)
			figure(t, "%v after the token was refused", time.Since(began).Round(time.Millisecond))
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.seen); n < 4 || n > 8 || p.closed > 60 { // more than 4 on a busy machine
			t.Errorf("%d tokens, and %d requests were closed", len(p.seen), p.closed)
		}
	})
}
