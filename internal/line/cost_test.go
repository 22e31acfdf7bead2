package line_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// TestWhatAReleaseCosts counts the requests and the events of each release over all clients, of
// which each has one waiter. They are the figures of docs/performance.md. HOLDFAST_LINE=long adds
// 1,000 clients, which take half a minute.
func TestWhatAReleaseCosts(t *testing.T) {
	t.Parallel()
	sizes := []int{10, 100}
	if os.Getenv("HOLDFAST_LINE") == "long" {
		sizes = append(sizes, 1000)
	}
	for _, n := range sizes {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			var requests atomic.Int64
			h := enter(t, counted(t, etcd, &requests))
			waiting := make([]*entering, n)
			for i := range waiting {
				l := counted(t, etcd, &requests)
				waiting[i] = goEnterAs(t.Context(), l, line.Join{Exclusive: true})
			}
			for i, w := range waiting {
				requests.Store(0)
				before := etcd.Events()
				release(t, h)
				h = w.granted(t)
				events, reads := etcd.Events()-before, requests.Load()-1
				// The first found a short line, and follow all of it.
				if short := i < 15; events > 16 || !short && events != 1 || short == (reads == 1) {
					t.Errorf("release %d of %d: %d events, %d reads", i, n, events, reads)
				}
			}
			release(t, h)
		})
	}
}

// counted returns the line with a client of its own, whose requests about the line are counted.
func counted(t *testing.T, etcd *fakeetcd.Server, requests *atomic.Int64) *line.Line {
	t.Helper()
	c := etcd.ClientSeen(t, func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/kv/") {
			requests.Add(1)
		}
	})
	s, err := session.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return &line.Line{Session: core.Of(s), Name: "a", Rule: line.Exclusive, EarlyGrant: true}
}
