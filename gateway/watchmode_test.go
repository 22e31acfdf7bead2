package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// infrastructure plays a proxy between a client and a member. It forwards no request before its
// end, and, if it polls, no answer before its end either.
func infrastructure(t *testing.T, polls bool, requests *atomic.Int64) *cluster {
	t.Helper()
	return newCluster(t, 1, func(w http.ResponseWriter, r request) {
		requests.Add(1)
		confirmComplete(w, r, polls)
	})
}

// confirmComplete answers the creates of a complete request, and of no other. A stream lasts until
// the client closes it, or is held back.
func confirmComplete(w http.ResponseWriter, r request, hold bool) {
	limit := r.Header.Get("Grpc-Timeout")
	if r.ContentLength <= 0 || hold && limit == "" {
		hang(r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var out strings.Builder
	for l := range strings.SplitSeq(strings.TrimSpace(string(body)), "\n") {
		_, rest, _ := strings.Cut(l, `"watch_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		out.WriteString(`{"result":{"header":{"cluster_id":"7","revision":"5"},"watch_id":"` + id +
			`","created":true}}` + "\n")
	}
	if limit == "" {
		answer(w, 200, out.String())
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	d, _ := time.ParseDuration(strings.TrimSuffix(limit, "m") + "ms")
	time.Sleep(d)
	answer(w, 200, out.String()+`{"error":{"code":4,"message":"context deadline exceeded"}}`+"\n")
}

// TestAWatchIsConfirmedThroughEveryProxy: through every proxy that forwards complete requests, a
// watch is confirmed within 2 s. The mode is known then, and at rest the client sends at most two
// requests a second.
func TestAWatchIsConfirmedThroughEveryProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		polls bool
		want  gateway.WatchMode
	}{{false, gateway.WatchModeFinite}, {true, gateway.WatchModePolling}} {
		t.Run(string(tt.want), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int64
				c := infrastructure(t, tt.polls, &requests).client(t)
				start := time.Now()
				for i := range 3 {
					w, err := c.Watch(t.Context(), fmt.Sprint(i))
					if err != nil {
						t.Fatal(err)
					}
					defer w.Close()
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("confirmed after %v", took)
				}
				if got := c.Endpoints()[0].WatchMode; got != tt.want {
					t.Errorf("the mode is %q", got)
				}
				time.Sleep(5 * time.Second)
				before := requests.Load()
				time.Sleep(30 * time.Second)
				if n := requests.Load() - before; n > 60 {
					t.Errorf("%d requests in 30 s", n)
				}
			})
		})
	}
}
