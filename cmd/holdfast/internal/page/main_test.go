package page

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const loopback = "127.0.0.1:7379"

// stage is a server of a board beside a lock "a" that is held, on an etcd in memory.
type stage struct {
	*testing.T
	etcd *fakeetcd.Server
	c    *gateway.Client
	*Server
	lock *mutex.Lock
}

func run(t *testing.T, address string, opt Options, fn func(s *stage)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		holder, err := session.New(t.Context(), c, &session.Options{Name: "holder"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = holder.Close(context.Background()) }()
		lock, err := mutex.New(holder, "a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := board.Open(t.Context(), c, "")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		opt.Board, opt.Client = b, c
		server, err := newServer(t.Context(), address, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		fn(&stage{t, etcd, c, server, lock})
	})
}

// ask sends a request, which change may alter, and returns the answer. A stream ends after its
// first message.
func (s *stage) ask(
	method, target, body string, change func(*http.Request),
) *httptest.ResponseRecorder {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = loopback, "127.0.0.1:5000"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.server.Handler.ServeHTTP(answerWriter{w}, r)
	}()
	synctest.Wait()
	cancel()
	<-done
	return w
}

// answerWriter has deadlines, as a connection has.
type answerWriter struct{ *httptest.ResponseRecorder }

func (answerWriter) SetReadDeadline(time.Time) error  { return nil }
func (answerWriter) SetWriteDeadline(time.Time) error { return nil }

// first returns the first message of a stream.
func (s *stage) first() (u update) {
	s.Helper()
	w := s.ask(http.MethodGet, "/events", "", nil)
	text, ok := strings.CutPrefix(w.Body.String(), "data: ")
	text, _, _ = strings.Cut(text, "\n\n")
	if err := json.Unmarshal([]byte(text), &u); !ok || err != nil {
		s.Fatalf("%d, %q: %v", w.Code, w.Body, err)
	}
	return u
}
