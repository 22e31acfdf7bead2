package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAWatchMovesAwayFromAStreamThatIsUnlikeEtcd: a stream is opened at another endpoint if one
// answers unlike etcd. If there is no other, the watch fails at once if repeating does not help,
// and else with its context.
func TestAWatchMovesAwayFromAStreamThatIsUnlikeEtcd(t *testing.T) {
	t.Parallel()
	untilCtx := list(context.DeadlineExceeded)
	for name, tt := range map[string]struct {
		handle func(http.ResponseWriter, request)
		alone  []error
	}{
		"text 404":  {text(404, "404 page not found"), readFinal},
		"HTML 200":  {body("<html>\n<h1>It works</h1>\n</html>\n"), readFinal},
		"empty 200": {func(w http.ResponseWriter, _ request) { w.WriteHeader(200) }, untilCtx},
		"HTML 502":  {html(502), untilCtx},
		"redirect": {func(w http.ResponseWriter, _ request) {
			w.Header().Set("Location", "http://elsewhere/")
			w.WriteHeader(307)
		}, readFinal},
		"gzip":      {encoded(10), readFinal},
		"gzip bomb": {encoded(20 << 20), readFinal},
		"line without end": {func(w http.ResponseWriter, _ request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, readFinal},
		"endless headers": {raw(func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = conn.Write(append([]byte("X: "), append(make([]byte, 1000), "\r\n"...)...))
			}
		}), untilCtx},
		"another watch's answer": {body(created(99, 5)), untilCtx},
		"no leader":              {says(503, 14, "etcdserver: no leader"), untilCtx},
		"no answer":              {silent, untilCtx},
		"cut off":                {dropped, untilCtx},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := newCluster(t, 1, tt.handle)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				w, err := bad.client(t).Watch(ctx, "a")
				if err == nil {
					w.Close()
				}
				wantErr(t, err, tt.alone, list(gateway.ErrUncertain))
				s := newWatchServer(t, 1, nil)
				s.net["bad:1"] = bad.net["m0:2379"]
				for range 4 { // the first endpoint is random
					c := s.client(t, func(cfg *gateway.Config) {
						cfg.Endpoints = []string{"http://bad:1", s.urls[0]}
					})
					r, stop := watch(t, c, "a")
					s.next(t).accept("a", 0, 5)
					r.want(t, "created 5")
					stop()
				}
			})
		})
	}
}

// TestEventsBeforeTheConfirmationAreDelivered: events that the server sends before it confirms the
// watch are delivered.
func TestEventsBeforeTheConfirmationAreDelivered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, _ := watch(t, s.client(t), "a", gateway.AtRevision(3))
		st := s.next(t)
		id := st.create("a", 3)
		st.write(events(id, kv("a", 3)), progress(3), events(id, kv("a", 4)), created(id, 4),
			events(id, kv("a", 4), kv("a", 5)))
		r.want(t, "a@3", "a@4", "created 4", "a@5")
	})
}

// TestAnEventWithoutItsRevisionsIsNotDelivered: the stream is left, and the watch resumed.
func TestAnEventWithoutItsRevisionsIsNotDelivered(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"no revisions":  `{"kv":{"key":"YQ=="}}`,
		"none created":  `{"kv":{"key":"YQ==","mod_revision":"6"}}`,
		"none deleted":  `{"type":"DELETE","kv":{"key":"YQ=="}}`,
		"created later": `{"kv":{"key":"YQ==","create_revision":"7","mod_revision":"6"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 1, nil)
				r, _ := watch(t, s.client(t), "a")
				st := s.next(t)
				id := st.accept("a", 0, 5)
				st.write(events(id, bad, kv("a", 6)))
				st.hungUp()
				st = s.next(t)
				id = st.accept("a", 6, 6)
				st.write(events(id, kv("a", 6)))
				r.want(t, "created 5", "a@6")
			})
		})
	}
}
