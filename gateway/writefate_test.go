package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAWriteOfUnknownFateIsSentOnce: the write is sent exactly once.
func TestAWriteOfUnknownFateIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, request){
		"lost answer":    dropped,
		"no answer":      silent,
		"leader changed": says(503, 14, "etcdserver: leader changed"),
		"timed out":      says(503, 14, "etcdserver: request timed out"),
		"timed out, leader": says(503, 14,
			"etcdserver: request timed out, possibly due to previous leader failure"),
		"server stopped":   says(503, 14, "etcdserver: server stopped"),
		"deadline":         says(504, 4, "context deadline exceeded"),
		"deadline of 3.4":  says(500, 2, "context deadline exceeded"),
		"canceled":         says(499, 1, "context canceled"),
		"internal":         says(500, 13, "transport: oops"),
		"not quite leader": says(503, 14, "no leader"),
		"proxy":            html(503),
		"junk":             body("{"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 3, func(w http.ResponseWriter, r request) { fail(w, r) })
				c := cl.client(t)
				writes := map[string]func(context.Context) error{
					"put": func(ctx context.Context) error {
						_, err := c.Put(ctx, "k", nil)
						return err
					},
					"delete": func(ctx context.Context) error {
						_, err := c.Delete(ctx, "k")
						return err
					},
					"txn": func(ctx context.Context) error {
						_, err := c.Txn(ctx, gateway.Txn{
							Then: []gateway.Op{gateway.OpGet("k")},
							Else: []gateway.Op{gateway.OpPut("k", nil)},
						})
						return err
					},
				}
				sent := 0
				for op, write := range writes {
					err := write(within(t, time.Minute))
					wantErr(t, err, list(gateway.ErrUncertain),
						list(context.DeadlineExceeded, context.Canceled))
					if e, isTyped := errors.AsType[*gateway.Error](err); !isTyped ||
						e.Op != op || e.Endpoint == "" {
						t.Errorf("%s: %#v", op, err)
					}
					if sent++; len(cl.requests()) != sent {
						t.Errorf("%s was sent %d times", op, len(cl.requests())-sent+1)
						sent = len(cl.requests())
					}
				}
			})
		})
	}
}

// TestRefusedWriteGoesOn: a write that cannot have been applied is sent again.
func TestRefusedWriteGoesOn(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, request){
		"no leader":         says(503, 14, "etcdserver: no leader"),
		"too many requests": says(429, 8, "etcdserver: too many requests"),
		"not etcd":          text(404, "404 page not found"),
		"rate limit":        text(429, "slow down"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, firstN(1, fail))
				if _, err := cl.client(t).Put(within(t, time.Minute), "k", nil); err != nil {
					t.Error(err)
				}
				// An endpoint without such a path is asked for its version.
				if m := slices.Compact(cl.members()); len(m) != 2 || m[0] == m[1] {
					t.Errorf("asked %v", m)
				}
			})
		})
	}
}

func TestAGrantWithoutAnAnswerFindsItsLease(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(http.ResponseWriter, request){
		"dropped": dropped, "garbled": body("{"), "late": silent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var renewed time.Time
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					switch {
					case r.n == 0:
						lose(w, r)
					case r.URL.Path == "/v3/lease/grant":
						time.Sleep(100 * time.Millisecond)
						etcdError(w, 400, 9, "etcdserver: lease already exists")
					default:
						renewed = time.Now()
						time.Sleep(100 * time.Millisecond)
						answer(w, 200, `{"result":{`+header+`,"ID":"77","TTL":"5"}}`+"\n")
					}
				})
				g, err := cl.client(t).Grant(within(t, time.Minute), 77, 5*time.Second)
				if err != nil || g.ID != 77 || g.TTL != 5*time.Second || !g.Sent.Equal(renewed) {
					t.Errorf("got %+v, %v; want it from the renewal that was sent at %v",
						g, err, renewed)
				}
			})
		})
	}
}

// TestAGrantOfAnExistingLeaseIsAnError: without a lost answer, "already exists" is an error.
func TestAGrantOfAnExistingLeaseIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, firstN(1, says(400, 9, "etcdserver: lease already exists")))
		_, err := cl.client(t).Grant(within(t, time.Minute), 77, 5*time.Second)
		wantErr(t, err, nil, list(gateway.ErrUncertain))
	})
}

func TestARevokeWithoutAnAnswerFindsItsEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := says(404, 5, "etcdserver: requested lease not found")
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if r.n == 0 {
				drop()
			}
			gone(w, r)
		})
		c := cl.client(t)
		if err := c.Revoke(within(t, time.Minute), 77); err != nil {
			t.Errorf("the revoke whose answer was lost had worked, got %v", err)
		}
		wantErr(t, c.Revoke(within(t, time.Minute), 77), list(gateway.ErrLeaseNotFound),
			list(gateway.ErrUncertain))
	})
}

// TestRepeatedWriteIsUncertain: a grant, revoke or compaction that was sent and never answered may
// have been applied, even if a later try was rejected.
func TestRepeatedWriteIsUncertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := newCluster(t, 1, dropped)
		_, err := lost.client(t).Grant(within(t, 3*time.Second), 77, 5*time.Second)
		wantErr(t, err, list(gateway.ErrUncertain, context.DeadlineExceeded), nil)
		err = lost.client(t).Revoke(within(t, 3*time.Second), 77)
		wantErr(t, err, list(gateway.ErrUncertain, context.DeadlineExceeded), nil)

		full := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if r.n == 0 {
				drop()
			}
			etcdError(w, 429, 8, "etcdserver: mvcc: database space exceeded")
		})
		_, err = full.client(t).Grant(within(t, time.Minute), 77, 5*time.Second)
		wantErr(t, err, list(gateway.ErrUncertain), list(context.DeadlineExceeded))

		refused := newCluster(t, 1, says(503, 14, "etcdserver: no leader"))
		_, err = refused.client(t).Grant(within(t, 3*time.Second), 77, 5*time.Second)
		wantErr(t, err, list(gateway.ErrUnavailable, context.DeadlineExceeded),
			list(gateway.ErrUncertain))
	})
}
