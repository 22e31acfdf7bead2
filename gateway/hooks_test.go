package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

type callerKey struct{}

// TestEachAttemptIsReportedToItsHook: each attempt is reported with its endpoint, time, error, and
// the values of the caller's context.
func TestEachAttemptIsReportedToItsHook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const took = 30 * time.Millisecond
		cluster := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			time.Sleep(took)
			if r.n == 0 {
				answer(w, http.StatusServiceUnavailable,
					`{"code":14,"message":"etcdserver: no leader"}`)
				return
			}
			answer(w, http.StatusOK, `{"header":{"cluster_id":"1","revision":"5"}}`)
		})
		var got []gateway.Attempt
		c := cluster.client(t, func(cfg *gateway.Config) {
			cfg.Hooks.Attempt = func(ctx context.Context, a gateway.Attempt) {
				if ctx.Value(callerKey{}) != "me" {
					t.Error("the caller's values are not there")
				}
				got = append(got, a)
			}
		})
		began := time.Now()
		if _, err := c.Get(context.WithValue(t.Context(), callerKey{}, "me"), "k"); err != nil {
			t.Fatal(err)
		}
		asked := cluster.members()
		if len(got) != 2 || len(asked) != 2 {
			t.Fatalf("attempts %+v of %v", got, asked)
		}
		for i, a := range got {
			if a.Op != "get" || a.Duration != took || a.Endpoint != cluster.urls[asked[i]] {
				t.Errorf("attempt %+v", a)
			}
		}
		if !errors.Is(got[0].Err, gateway.ErrUnavailable) || got[1].Err != nil ||
			!got[0].Start.Equal(began) {
			t.Errorf("errors %v, %v, began %v", got[0].Err, got[1].Err, got[0].Start.Sub(began))
		}
	})
}

// TestEachStreamIsReportedToItsHooks: a stream opens, breaks, is opened again elsewhere, and is
// closed with the last watch.
func TestEachStreamIsReportedToItsHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		var mu sync.Mutex
		var got []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, what)
		}
		var log bytes.Buffer
		c := s.client(t, func(cfg *gateway.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			cfg.Hooks.StreamOpened = func(endpoint string) { note("opened " + endpoint) }
			cfg.Hooks.StreamEnded = func(endpoint string, lasted time.Duration, err error) {
				switch {
				case lasted != 3*time.Second:
					note("lasted " + lasted.String())
				case err == nil:
					note("given up " + endpoint)
				default:
					note("broke " + endpoint)
				}
			}
		})
		_, stop := watch(t, c, "k")
		st := s.next(t)
		st.accept("k", 0, 5)
		time.Sleep(3 * time.Second)
		st.cut()
		st = s.next(t)
		st.accept("k", 6, 5)
		time.Sleep(time.Second)
		st.write(progress(5))
		time.Sleep(2 * time.Second)
		stop()
		st.hungUp()
		synctest.Wait()
		u := s.urls[0]
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"opened " + u, "broke " + u, "opened " + u, "given up " +
			u}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if text := log.String(); strings.Count(text, "\n") != 3 ||
			!strings.Contains(text, "level=INFO msg=watch_mode") ||
			!strings.Contains(text, "level=INFO msg=watch_stream_lost") ||
			!strings.Contains(text, "level=INFO msg=watch_stream_resumed") {
			t.Errorf("the log says:\n%s", text)
		}
	})
}
