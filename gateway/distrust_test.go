package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAnAnswerOfAnotherClusterEndsNoLease: another cluster's answer about a lease, alive or dead,
// is ignored.
func TestAnAnswerOfAnotherClusterEndsNoLease(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]string{"alive": `,"TTL":"15"`, "dead": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var first atomic.Int64
				first.Store(-1)
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					switch {
					case r.URL.Path != "/v3/lease/keepalive":
						ok(w)
					case first.CompareAndSwap(-1, int64(r.member)) ||
						first.Load() == int64(r.member):
						drop()
					default:
						answer(w, 200, `{"result":{"header":{"cluster_id":"999","revision":"3"},`+
							`"ID":"7"`+ttl+`}}`+"\n")
					}
				})
				c := cl.client(t)
				if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
					t.Fatal(err)
				}
				var believed atomic.Int64
				stop := c.KeepAlive(gateway.LeaseGrant{
					ID: 7, TTL: 15 * time.Second,
					Sent: time.Now(),
				}, func(gateway.LeaseGrant) { believed.Add(1) })
				defer stop()
				time.Sleep(30 * time.Second)
				if n := believed.Load(); n > 0 {
					t.Errorf("%d answers were believed", n)
				}
			})
		})
	}
}

// TestThePartOfARenewalThatArrivedCounts: the part of a slow answer that has arrived counts.
func TestThePartOfARenewalThatArrivedCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const leases = 500
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			for line := range strings.Lines(r.body) {
				time.Sleep(5 * time.Millisecond) // 2.5 s for all of them; a try has 2 s
				if _, err := fmt.Fprintf(w, `{"result":{%s,"ID":%q,"TTL":"15"}}`+"\n",
					header, strings.Split(line, `"`)[3]); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		})
		c := cl.client(t)
		var mu sync.Mutex
		last := map[gateway.LeaseID]time.Time{}
		for i := range leases {
			id := gateway.LeaseID(i + 1)
			last[id] = time.Now()
			defer c.KeepAlive(gateway.LeaseGrant{ID: id, TTL: 15 * time.Second, Sent: time.Now()},
				func(g gateway.LeaseGrant) {
					mu.Lock()
					defer mu.Unlock()
					if gap := g.Sent.Sub(last[id]); gap > 15*time.Second {
						t.Errorf("lease %v was not renewed for %v", id, gap)
					}
					last[id] = g.Sent
				})()
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for id, at := range last {
			if time.Since(at) > 15*time.Second {
				t.Fatalf("lease %v was last renewed %v ago", id, time.Since(at))
			}
		}
	})
}

// TestAWaitingCallFollowsTheEndpointThatAnswers: calls that wait for others to end are sent to the
// endpoint that answered those.
func TestAWaitingCallFollowsTheEndpointThatAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var silent atomic.Int64
		silent.Store(-1)
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if silent.CompareAndSwap(-1, int64(r.member)) || silent.Load() == int64(r.member) {
				hang(r)
				return
			}
			ok(w)
		})
		c := cl.client(t)
		start := time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if _, err := c.Get(context.Background(), "k"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// TestProgressOvertakesAnEvent: in versions for which /version may be wrong, an event after a
// progress report of its revision is still delivered.
func TestProgressOvertakesAnEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			if r.URL.Path == "/version" {
				answer(w, 200, `{"etcdserver":"3.5.9","etcdcluster":"3.5.0"}`)
				return
			}
			line := func(rev int, rest string) {
				_, _ = fmt.Fprintf(w,
					`{"result":{"header":{"cluster_id":"5","revision":"%d"},"watch_id":%s}}`+"\n",
					rev, rest)
				w.(http.Flusher).Flush()
			}
			line(5, `"1","created":true`)
			time.Sleep(1500 * time.Millisecond)
			line(5, `"-1"`) // asks for the version
			time.Sleep(1500 * time.Millisecond)
			line(6, `"-1"`)
			line(6, `"1","events":[{"kv":{"key":"YQ==","create_revision":"6","mod_revision":"6",`+
				`"version":"1"}}]`)
			_, _ = io.Copy(io.Discard, r.Body) // until the client ends the stream
		})
		var events atomic.Int64
		stop, err := cl.client(t).WatchFunc("a", func(r gateway.WatchResponse) {
			events.Add(int64(len(r.Events)))
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3500 * time.Millisecond)
		if n := events.Load(); n != 1 {
			t.Errorf("%d events of 1", n)
		}
		stop()
	})
}
