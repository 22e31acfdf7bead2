package gateway_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// renewals reads the IDs in a keepalive request.
func renewals(t *testing.T, r request) (ids []gateway.LeaseID) {
	t.Helper()
	if r.URL.Path != "/v3/lease/keepalive" {
		t.Errorf("request to %s", r.URL.Path)
	}
	for l := range strings.Lines(r.body) {
		var m struct {
			ID int64 `json:"ID,string"`
		}
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Error(err)
		}
		ids = append(ids, gateway.LeaseID(m.ID))
	}
	return ids
}

func renewed(id gateway.LeaseID, ttl int) string {
	if ttl == 0 { // etcd omits a zero
		return fmt.Sprintf(`{"result":{%s,"ID":"%d"}}`+"\n", header, int64(id))
	}
	return fmt.Sprintf(`{"result":{%s,"ID":"%d","TTL":"%d"}}`+"\n", header, int64(id), ttl)
}

// renewAll answers every lease of a request.
func renewAll(t *testing.T, w http.ResponseWriter, r request, ttl int) {
	t.Helper()
	var b strings.Builder
	for _, id := range renewals(t, r) {
		b.WriteString(renewed(id, ttl))
	}
	answer(w, http.StatusOK, b.String())
}

// grants records the reports about one lease.
type grants struct {
	mu  sync.Mutex
	got []gateway.LeaseGrant
}

func (g *grants) add(l gateway.LeaseGrant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, l)
}

func (g *grants) all() []gateway.LeaseGrant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.got)
}

func (g *grants) last() gateway.LeaseGrant {
	all := g.all()
	if len(all) == 0 {
		return gateway.LeaseGrant{}
	}
	return all[len(all)-1]
}

// keep starts to renew a lease that was granted now.
func keep(c *gateway.Client, id gateway.LeaseID, ttl time.Duration) (*grants, func()) {
	g := &grants{}
	return g, c.KeepAlive(gateway.LeaseGrant{ID: id, TTL: ttl, Sent: time.Now()}, g.add)
}

// TestALeaseIsRenewedAtAThirdOfItsTTL: a lease is renewed a third of its TTL after the last request
// was sent, however slow the answer.
func TestALeaseIsRenewedAtAThirdOfItsTTL(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, time.Second, 1900 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					time.Sleep(delay)
					renewAll(t, w, r, 9)
				})
				c := cl.client(t)
				start := time.Now()
				g, stop := keep(c, 1, 9*time.Second)
				time.Sleep(16*time.Second + 950*time.Millisecond)
				var sent []time.Duration
				for _, r := range cl.requests() {
					sent = append(sent, r.at.Sub(start))
				}
				if want := []time.Duration{3e9, 6e9, 9e9, 12e9, 15e9}; !slices.Equal(sent, want) {
					t.Errorf("sent at %v, want %v", sent, want)
				}
				for i, l := range g.all() {
					if l.ID != 1 || l.TTL != 9*time.Second ||
						l.Sent.Sub(start) != time.Duration(i+1)*3*time.Second {
						t.Errorf("report %d: %+v, sent after %v", i, l, l.Sent.Sub(start))
					}
				}
				stop()
				time.Sleep(time.Minute)
				if n := len(cl.requests()); n > 5 {
					t.Errorf("%d requests: renewed after stop", n)
				}
			})
		})
	}
}

// TestALowerTTLOfTheServerCounts: the server's TTL counts if it is less than the requested one. A
// member raises a TTL by its own settings, and the next leader may not.
func TestALowerTTLOfTheServerCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		asked, answered, want time.Duration
		requests              int
	}{
		{3 * time.Second, 30 * time.Second, 3 * time.Second, 10},  // 1, 2 … 10
		{30 * time.Second, 3 * time.Second, 3 * time.Second, 1},   // 10
		{30 * time.Second, 30 * time.Second, 30 * time.Second, 1}, // 10
		{0, 3 * time.Second, 3 * time.Second, 11},                 // at once, 1, 2 … 10
	} {
		t.Run(fmt.Sprintf("%v answered with %v", tt.asked, tt.answered), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					renewAll(t, w, r, int(tt.answered/time.Second))
				})
				g, stop := keep(cl.client(t), 1, tt.asked)
				defer stop()
				time.Sleep(10*time.Second + 500*time.Millisecond)
				if n := len(cl.requests()); n != tt.requests {
					t.Errorf("%d requests, want %d", n, tt.requests)
				}
				if got := g.last(); got.TTL != tt.want {
					t.Errorf("reported: %+v", got)
				}
			})
		})
	}
}

// TestGrantReturnsTheTTLThatEveryLeaderKeeps: Grant returns the TTL that every leader keeps to,
// even if an answer was lost.
func TestGrantReturnsTheTTLThatEveryLeaderKeeps(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]int{"answered": 0, "an answer lost": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					switch {
					case r.n < lost:
						drop()
					case r.URL.Path == "/v3/lease/keepalive":
						answer(w, 200, renewed(7, 15))
					case lost > 0:
						etcdError(w, 400, 9, "etcdserver: lease already exists")
					default:
						answer(w, 200, `{`+header+`,"ID":"7","TTL":"15"}`)
					}
				})
				g, err := cl.client(t).Grant(within(t, time.Minute), 7, 4500*time.Millisecond)
				if err != nil || g.TTL != 5*time.Second {
					t.Errorf("Grant = %+v, %v", g, err)
				}
			})
		})
	}
}

// TestOneRequestRenewsAllLeases: one request renews all leases. More than 8 need their own
// connection, because etcd omits answers otherwise.
func TestOneRequestRenewsAllLeases(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 8, 9, 500, 700} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					renewAll(t, w, r, 9)
				})
				c := cl.client(t)
				all := make([]*grants, n)
				for i := range all {
					all[i], _ = keep(c, gateway.LeaseID(math.MaxInt64-i), 9*time.Second)
					time.Sleep(500 * time.Millisecond / time.Duration(n)) // they become synchronous
				}
				time.Sleep(30 * time.Second)
				for i, g := range all {
					if len(g.all()) < 9 {
						t.Fatalf("lease %d was renewed %d times", i, len(g.all()))
					}
				}
				requests := cl.requests()
				if rounds := 11; len(requests) > 2*rounds*((n+499)/500) {
					t.Errorf("%d requests in 10 rounds", len(requests))
				}
				for _, r := range requests {
					if ids := len(renewals(t, r)); ids > 500 || r.Close != (ids > 8) {
						t.Errorf("%d leases in a request with Connection: close = %v", ids, r.Close)
					}
				}
			})
		})
	}
}

// TestTheLaterOfTwoKeepersReceivesTheReports: if a lease is kept twice, the later function receives
// the reports, even if the lease expires during a request of the first.
func TestTheLaterOfTwoKeepersReceivesTheReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			time.Sleep(time.Second)
			renewAll(t, w, r, 0)
		})
		c := cl.client(t)
		first, stop := keep(c, 1, 9*time.Second)
		time.Sleep(3500 * time.Millisecond) // a request is in flight
		second, _ := keep(c, 1, 9*time.Second)
		stop()
		time.Sleep(time.Minute)
		if len(first.all()) != 0 || len(second.all()) != 1 {
			t.Errorf("reports %+v and %+v", first.all(), second.all())
		}
	})
}

// TestNoReportFollowsAStop: no call of fn begins after stop has returned, and no goroutine is left.
func TestNoReportFollowsAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			time.Sleep(time.Second)
			renewAll(t, w, r, 0)
		})
		transport := &http.Transport{DialContext: cl.net.Dial}
		c, err := gateway.New(gateway.Config{Endpoints: cl.urls, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		g, stop := keep(c, 1, 9*time.Second)
		time.Sleep(3500 * time.Millisecond)
		stop()
		stop()
		time.Sleep(time.Minute)
		if len(g.all()) != 0 {
			t.Errorf("reports after stop: %+v", g.all())
		}
		transport.CloseIdleConnections()
		// The client is never closed, so the bubble ends only if no goroutine is left.
	})
}

func TestCloseEndsAllRenewals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, silent)
		c := cl.client(t)
		keep(c, 1, 9*time.Second)
		time.Sleep(4 * time.Second)
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close took %v, %v", time.Since(start), err)
		}
		_, stop := keep(c, 2, 9*time.Second)
		stop()
		synctest.Wait()
	})
}

// TestALeaseOfUnknownTTLIsRenewedAtOnce: a lease of unknown TTL is renewed at once.
func TestALeaseOfUnknownTTLIsRenewedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) { renewAll(t, w, r, 9) })
		g := &grants{}
		cl.client(t).KeepAlive(gateway.LeaseGrant{ID: 1}, g.add)
		time.Sleep(3100 * time.Millisecond)
		if len(g.all()) != 2 || len(cl.requests()) != 2 {
			t.Errorf("reports %+v", g.all())
		}
	})
}

// TestAnImpossibleTTLEndsNoLease: an impossible TTL does not mean that the lease is gone.
func TestAnImpossibleTTLEndsNoLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			answer(w, 200, renewed(1, math.MaxInt64))
		})
		g, _ := keep(cl.client(t), 1, 0)
		time.Sleep(4 * time.Second)
		if got := g.last(); got.TTL != gateway.MaxTTL {
			t.Errorf("%+v", got)
		}
	})
}

func TestKeepAliveRenewsUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		ttl        time.Duration
		is         []error
	}{
		{"alive", renewed(7, 5), 5 * time.Second, nil},
		{"dead", renewed(7, 0), 0, list(gateway.ErrLeaseNotFound)},
		{"another lease", renewed(8, 5), 0, list(gateway.ErrProtocol)},
		{
			"refused", `{"error":{"grpc_code":7,"message":"etcdserver: permission denied"}}`,
			0, list(gateway.ErrPermissionDenied),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, body(tt.body))
				start := time.Now()
				g, err := cl.client(t).KeepAliveOnce(within(t, time.Minute), 7)
				if tt.is != nil {
					wantErr(t, err, tt.is, list(gateway.ErrUncertain))
				} else if err != nil || g.ID != 7 || g.TTL != tt.ttl || !g.Sent.Equal(start) {
					t.Errorf("%+v, %v", g, err)
				}
			})
		})
	}
}
