package core_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// putAt is a transaction that puts a key whose mod_revision is known.
func putAt(key string, mod int64) gateway.Txn {
	return gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpModRevision(key, gateway.Equal, mod)},
		Then: []gateway.Op{gateway.OpPut(key, []byte("x")), gateway.OpGet(key)},
		Else: []gateway.Op{gateway.OpGet(key)},
	}
}

// TestOneReceiptForABatch: transactions that share a request put one receipt. Each has its outcome,
// also after lost answers.
func TestOneReceiptForABatch(t *testing.T) {
	t.Parallel()
	const n = 10
	applied := func(c *fakeetcd.Call) fakeetcd.Answer { c.Apply(); return fakeetcd.Lost }
	dropped := func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost }
	denied := func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() }
	for name, tt := range map[string]struct {
		lost     func(c *fakeetcd.Call) fakeetcd.Answer // the answer to the batch, if not nil
		conflict bool                                   // in one of them
		receipts int
		answers  int // responses of a transaction that was applied
	}{
		"answered":               {nil, false, 2, 2},
		"applied, answer lost":   {applied, false, 2, 0},
		"not applied":            {dropped, false, 2, 2},
		"rejected":               {denied, false, n + 1, 2},
		"conflict":               {nil, true, n, 2},
		"conflict, answer lost":  {applied, true, n, 2},
		"conflict, request lost": {dropped, true, n, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				if tt.conflict {
					etcd.Put("k0", "other")
				}
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					switch {
					case c.IsTxn("first"):
						c.Sleep(500 * time.Millisecond)
					case c.IsTxn("k1") && tt.lost != nil:
						lost := tt.lost
						tt.lost = nil
						return lost(c)
					}
					return c.Apply()
				})
				var of sync.WaitGroup
				run := func(key string, applied bool) {
					resp, err := core.Of(s).TxnFlat(t.Context(), putAt(key, 0), 2)
					if err != nil || resp.Succeeded != applied {
						t.Errorf("%s: %+v, %v", key, resp, err)
						return
					}
					kv, _ := etcd.Get(key)
					if applied && (kv.ModRevision != resp.Revision || kv.Version != 1) {
						t.Errorf("%s: %+v, but the answer is of %d", key, kv, resp.Revision)
					}
					if key != "first" && applied && len(resp.Responses) != tt.answers {
						t.Errorf("%s: %d responses", key, len(resp.Responses))
					}
				}
				of.Go(func() { run("first", true) })
				synctest.Wait()
				for i := range n {
					of.Go(func() { run(fmt.Sprint("k", i), i > 0 || !tt.conflict) })
				}
				of.Wait()
				if receipts := etcd.Keys(record(s) + "/"); len(receipts) != tt.receipts {
					t.Errorf("%d receipts, want %d", len(receipts), tt.receipts)
				}
			})
		})
	}
}

// TestReceiptsAmongFaults: many transactions of one session, of which some share requests, while
// answers are lost, copies come late, requests are rejected and callers leave. Each is applied as
// often as its outcome says.
func TestReceiptsAmongFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { receiptsAmongFaults(t, seed) })
		})
	}
}

func receiptsAmongFaults(t *testing.T, seed uint64) {
	t.Helper()
	etcd := fakeetcd.Start(t)
	s := open(t, etcd, nil)
	random := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a test
	var late []*fakeetcd.Call
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if !c.IsTxn("/w") {
			return c.Apply()
		}
		switch random.IntN(12) {
		case 0:
			c.Apply()
			return fakeetcd.Lost
		case 1:
			return fakeetcd.Lost
		case 2:
			late = append(late, c)
			return fakeetcd.Lost
		case 3:
			return fakeetcd.Denied()
		case 4:
			return fakeetcd.Error(gateway.CodeResourceExhausted, "etcdserver: mvcc: database space exceeded")
		case 5:
			c.Sleep(300 * time.Millisecond)
		case 6:
			for _, old := range late {
				old.Apply()
			}
			late = nil
		}
		return c.Apply()
	})
	const keys, each = 12, 15
	var of sync.WaitGroup
	for k := range keys {
		limits := make([]time.Duration, each)
		for i := range limits {
			limits[i] = time.Duration(1+random.IntN(4)) * 250 * time.Millisecond
		}
		of.Go(func() { putOften(t, etcd, s, fmt.Sprint("k", k), limits) })
	}
	of.Wait()
	for _, old := range late {
		old.Apply()
	}
	for _, key := range etcd.Keys(record(s) + "/") {
		if kv, _ := etcd.Get(key); kv.Lease != s.Lease() {
			t.Errorf("%s has the lease %v", key, kv.Lease)
		}
	}
}

// putOften puts a key with one transaction after the other, each with a time limit.
func putOften(
	t *testing.T, etcd *fakeetcd.Server, s *session.Session, key string, limits []time.Duration,
) {
	t.Helper()
	applied, unknown := int64(0), int64(0)
	for _, limit := range limits {
		before, _ := etcd.Get(key)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		resp, err := core.Of(s).TxnFlat(ctx, putAt(key, before.ModRevision), 2)
		cancel()
		now, _ := etcd.Get(key)
		switch {
		case errors.Is(err, gateway.ErrUncertain):
			unknown++
			_, _ = s.Txn(t.Context(), gateway.Txn{}) // a later write
			time.Sleep(2 * time.Second)              // until the session has resolved it
		case err != nil && now.ModRevision != before.ModRevision:
			t.Errorf("%s: %v, but it was applied", key, err)
		case err != nil:
		case resp.Succeeded && now.ModRevision != resp.Revision:
			t.Errorf("%s: applied at %d, but it is of %d", key, resp.Revision, now.ModRevision)
		case resp.Succeeded:
			applied++
		case now.ModRevision == before.ModRevision:
			t.Errorf("%s: refused without a reason", key)
		}
	}
	if kv, _ := etcd.Get(key); kv.Version < applied || kv.Version > applied+unknown {
		t.Errorf("%s: put %d times; %d were applied, %d are unknown",
			key, kv.Version, applied, unknown)
	}
}
