package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestMissingRenewalsAreRequestedAgainAtOnce: answers are matched by ID, and missing ones are
// requested again at once.
func TestMissingRenewalsAreRequestedAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			ids := renewals(t, r)
			if r.n == 0 { // two of five, out of order, one twice, and one of another lease
				answer(w, 200,
					renewed(ids[4], 9)+renewed(99, 9)+renewed(ids[1], 9)+renewed(ids[1], 9))
				return
			}
			renewAll(t, w, r, 9)
		})
		c := cl.client(t)
		start := time.Now()
		var all []*grants
		for id := range gateway.LeaseID(5) {
			g, _ := keep(c, id+1, 9*time.Second)
			all = append(all, g)
		}
		time.Sleep(3*time.Second + 100*time.Millisecond)
		for i, g := range all {
			if got := g.all(); len(got) != 1 || got[0].ID != gateway.LeaseID(i+1) ||
				got[0].Sent.Sub(start) < 3*time.Second {
				t.Errorf("lease %d: %+v", i+1, got)
			}
		}
		if n := len(cl.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestARefusedLeaseDoesNotStarveTheOthers: an error ends the list of answers, but the lease that
// caused it must not starve the others.
func TestARefusedLeaseDoesNotStarveTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			var b strings.Builder
			for _, id := range renewals(t, r) {
				if id == 2 {
					if b.Len() == 0 {
						etcdError(w, 403, 7, "etcdserver: permission denied")
						return
					}
					b.WriteString(`{"error":{"grpc_code":7,"http_code":403,` +
						`"message":"etcdserver: ` +
						`permission denied"}}`)
					break
				}
				b.WriteString(renewed(id, 9))
			}
			answer(w, 200, b.String())
		})
		c := cl.client(t)
		var all []*grants
		for id := range gateway.LeaseID(20) {
			g, _ := keep(c, id, 9*time.Second)
			all = append(all, g)
		}
		time.Sleep(time.Minute)
		for id, g := range all {
			n := len(g.all())
			if id == 2 && n != 0 {
				t.Errorf("the refused lease was renewed %d times", n)
			}
			if l := g.last(); id != 2 && (n < 19 || time.Since(l.Sent) > 3100*time.Millisecond) {
				t.Errorf("lease %d was renewed %d times, last %v ago", id, n, time.Since(l.Sent))
			}
		}
		if n := len(cl.requests()); n > 60*4 {
			t.Errorf("%d requests in a minute", n)
		}
	})
}

// TestALeaseThatIsGoneIsReportedOnce: a lease that is gone is reported with a TTL of 0, once, and
// no longer renewed.
func TestALeaseThatIsGoneIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			var b strings.Builder
			for _, id := range renewals(t, r) {
				b.WriteString(renewed(id, map[bool]int{true: 0, false: 9}[id == 1]))
			}
			answer(w, 200, b.String())
		})
		c := cl.client(t)
		dead, stop := keep(c, 1, 9*time.Second)
		alive, _ := keep(c, 2, 9*time.Second)
		time.Sleep(30*time.Second + 100*time.Millisecond)
		if got := dead.all(); len(got) != 1 || got[0].TTL != 0 || got[0].ID != 1 {
			t.Errorf("dead lease: %+v", got)
		}
		if n := len(alive.all()); n != 10 {
			t.Errorf("the other one was renewed %d times", n)
		}
		stop()
	})
}

// TestARenewalMovesToTheNextEndpointInTime: a try lasts min(TTL/3, 2 s), then the next endpoint is
// asked at once.
func TestARenewalMovesToTheNextEndpointInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ ttl, patience time.Duration }{
		{3 * time.Second, time.Second},
		{5 * time.Second, 5 * time.Second / 3},
		{9 * time.Second, 2 * time.Second},
		{time.Minute, 2 * time.Second},
	} {
		t.Run(tt.ttl.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 3, func(w http.ResponseWriter, r request) {
					if r.n < 2 {
						hang(r)
						return
					}
					renewAll(t, w, r, int(tt.ttl/time.Second))
				})
				c := cl.client(t)
				start := time.Now()
				g, _ := keep(c, 1, tt.ttl)
				time.Sleep(tt.ttl + time.Second)
				m := cl.members()
				if len(m) < 3 || m[0] == m[1] || m[1] == m[2] || m[0] == m[2] {
					t.Errorf("asked %v", m)
				}
				want := tt.ttl/3 + 2*tt.patience
				if all := g.all(); len(all) == 0 || all[0].Sent.Sub(start) < want ||
					all[0].Sent.Sub(start) > want+60*time.Millisecond {
					t.Errorf("renewed %v after the start, want %v: %+v", all, want, all)
				}
			})
		})
	}
}

// TestALeaseOutlivesAnyFaultOfOneEndpoint: after any fault of one endpoint, a lease is renewed at
// another, long before it expires.
func TestALeaseOutlivesAnyFaultOfOneEndpoint(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, request){
		"dropped":            dropped,
		"no leader":          says(503, 14, "etcdserver: no leader"),
		"not primary lessor": says(500, 2, "not a primary lessor"),
		"learner":            says(400, 9, "etcdserver: rpc not supported for learner"),
		"proxy":              html(502),
		"not etcd":           text(404, "404 page not found"),
		"http for TLS":       text(400, "Client sent an HTTP request to an HTTPS server."),
		"junk":               body("hello"),
		"empty":              body(""),
		"too large":          body(strings.Repeat(" ", 100_000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := -1
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					if r.n == 0 {
						bad = r.member
					}
					if r.member == bad {
						fail(w, r)
						return
					}
					renewAll(t, w, r, 9)
				})
				c := cl.client(t, func(cfg *gateway.Config) { cfg.MaxResponse = 50_000 })
				g, _ := keep(c, 1, 9*time.Second)
				time.Sleep(3*time.Second + 100*time.Millisecond)
				if len(g.all()) != 1 {
					t.Errorf("reports %+v after requests to %v", g.all(), cl.members())
				}
			})
		})
	}
}

// TestRenewalsAreRetriedWhileEverythingIsDown: the client retries until the end of the lease and
// after it, but not too often.
func TestRenewalsAreRetriedWhileEverythingIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, dropped)
		c := cl.client(t)
		g, _ := keep(c, 1, 9*time.Second)
		keep(c, 2, 9*time.Second)
		time.Sleep(13 * time.Second)
		if n := len(cl.requests()); n < 25 || n > 60 {
			t.Errorf("%d requests in 10 s", n)
		}
		if len(g.all()) != 0 {
			t.Errorf("reports %+v", g.all())
		}
	})
}

// TestAnExpiredTokenCostsARenewalOneMoreTry: an expired token costs one more try.
func TestAnExpiredTokenCostsARenewalOneMoreTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			switch {
			case r.URL.Path == "/v3/auth/authenticate":
				logins++
				answer(w, 200, fmt.Sprintf(`{%s,"token":"token.%d"}`, header, logins))
			case r.Header.Get("Authorization") != "token.2":
				answer(w, 401,
					`{"error":{"code":16,"message":"etcdserver: invalid auth token"}}`+"\n")
			default:
				renewAll(t, w, r, 9)
			}
		})
		g, _ := keep(cl.client(t, withUser), 1, 9*time.Second)
		time.Sleep(3*time.Second + 100*time.Millisecond)
		if len(g.all()) != 1 || logins != 2 {
			t.Errorf("reports %+v after %d log-ins", g.all(), logins)
		}
	})
}
