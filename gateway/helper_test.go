package gateway_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// Canaries are secrets that no error and no log line may contain.
const (
	canaryKey      = "canary/key"
	canaryValue    = "canary-value"
	canaryPassword = "canary-password"
	canaryToken    = "canary-token.1"
)

const (
	header = `"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437",` +
		`"revision":"5","raft_term":"2"}`
	login = `{` + header + `,"token":"` + canaryToken + `"}`
)

// request is a request that a fake member received.
type request struct {
	*http.Request
	member int // the member that received it
	n      int // its number among all members' requests, from 0
	at     time.Time
	body   string
}

// cluster is a set of fake members that share a handler. The first member is chosen at random, so
// handlers use the number of the request.
type cluster struct {
	net  memnet.Network
	urls []string

	mu   sync.Mutex
	seen []request
}

func newCluster(t *testing.T, members int, handle func(w http.ResponseWriter, r request)) *cluster {
	t.Helper()
	c := &cluster{net: memnet.Network{}}
	for i := range members {
		l := memnet.Listen()
		addr := fmt.Sprintf("m%d:2379", i)
		c.net[addr] = l
		c.urls = append(c.urls, "http://"+addr)
		server := &http.Server{
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
				r := request{Request: hr, member: i, at: time.Now()}
				if !strings.HasSuffix(hr.URL.Path, "/watch") {
					body, _ := io.ReadAll(hr.Body)
					r.body = string(body)
				}
				c.mu.Lock()
				r.n = len(c.seen)
				c.seen = append(c.seen, r)
				c.mu.Unlock()
				handle(w, r)
			}),
		}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			// of fake time, for handlers that check their context from time to time
			time.Sleep(time.Hour)
		})
	}
	return c
}

// requests returns the requests of all members so far.
func (c *cluster) requests() []request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]request(nil), c.seen...)
}

// members lists the members that received requests, in order.
func (c *cluster) members() (m []int) {
	for _, r := range c.requests() {
		m = append(m, r.member)
	}
	return m
}

// client makes a client of the cluster, which the end of the test closes.
func (c *cluster) client(t *testing.T, change ...func(*gateway.Config)) *gateway.Client {
	t.Helper()
	cfg := gateway.Config{Endpoints: c.urls, DialContext: c.net.Dial}
	for _, f := range change {
		f(&cfg)
	}
	return newClient(t, cfg)
}

func newClient(t *testing.T, cfg gateway.Config) *gateway.Client {
	t.Helper()
	client, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func withUser(cfg *gateway.Config) {
	cfg.Username, cfg.Password, cfg.AllowPlaintextAuth = "root", canaryPassword, true
}

// answer writes a body as etcd does.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func ok(w http.ResponseWriter) { answer(w, http.StatusOK, "{"+header+"}") }

// hang plays a member that receives a request and never answers.
func hang(r request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil { // after an error the client is gone
		<-r.Context().Done()
	}
}

// drop breaks the connection of a request.
func drop() { panic(http.ErrAbortHandler) }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wantErr checks which errors err matches, and which it does not.
func wantErr(t *testing.T, err error, is, not []error) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", is)
		return
	}
	for _, target := range is {
		if !errors.Is(err, target) {
			t.Errorf("error %q does not match %q", err, target)
		}
	}
	for _, target := range not {
		if errors.Is(err, target) {
			t.Errorf("error %q matches %q", err, target)
		}
	}
}

// list makes the arguments of wantErr readable.
func list(errs ...error) []error { return errs }

// typed checks that an error names its operation and endpoint.
func typed(t *testing.T, err error, op, endpoint string) {
	t.Helper()
	e, isTyped := errors.AsType[*gateway.Error](err)
	if !isTyped || e.Op != op || e.Endpoint != endpoint {
		t.Errorf("error %#v, want operation %q at %q", err, op, endpoint)
	}
}

// noCanary looks for secrets in texts, in plain and encoded form.
func noCanary(t *testing.T, texts ...string) {
	t.Helper()
	for _, secret := range []string{canaryKey, canaryValue, canaryPassword, canaryToken} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			for _, text := range texts {
				if strings.Contains(text, form) {
					t.Errorf("%q shows in %q", form, text)
				}
			}
		}
	}
}

// forms prints a value in every usual way.
func forms(v any) []string {
	return []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v)}
}

// logs collects log lines at every level.
type logs struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// roundTripper is a transport made from a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply makes an answer without a network.
func reply(status int, body string) *http.Response {
	if status == http.StatusOK {
		body = whole(body)
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(strings.NewReader(body)),
	}
}

// whole adds the cluster's header to an answer of etcd without one.
func whole(body string) string {
	const cluster = `"cluster_id":"9"`
	switch {
	case strings.Contains(body, `"cluster_id"`) || !strings.HasPrefix(body, "{"):
		return body
	case strings.HasPrefix(body, `{"header":{}`):
		return strings.Replace(body, `{}`, `{`+cluster+`,"revision":"1"}`, 1)
	case strings.HasPrefix(body, `{"header":{`):
		return strings.Replace(body, `{"header":{`, `{"header":{`+cluster+`,`, 1)
	case body == "{}":
		return `{"header":{` + cluster + `,"revision":"1"}}`
	}
	return `{"header":{` + cluster + `,"revision":"1"},` + body[1:]
}
