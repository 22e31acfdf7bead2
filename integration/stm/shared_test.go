package stm_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// nested: the properties of etcd by which commits share a request. All nested conditions are
// evaluated before any write, all writes have one revision, and no two of them may be of one key.
func nested(t *testing.T, c *gateway.Client, _ *session.Session) {
	ctx, x, y := within(t, time.Minute), fresh(t), fresh(t)
	unless := func(read, write string) gateway.Op {
		return gateway.OpTxn(gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpModRevision(read, gateway.Equal, 0)},
			Then: []gateway.Op{gateway.OpPut(write, nil)},
		})
	}
	_, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{unless(y, x), unless(x+"-other", x)}})
	if !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("two writes of one key: %v", err)
	}
	resp, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{unless(y, x), unless(x, y)}})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{x, y} {
		got, err := c.Get(ctx, key)
		if err != nil || len(got.KVs) != 1 || got.KVs[0].ModRevision != resp.Revision ||
			!resp.Responses[i].Txn.Succeeded {
			t.Errorf("%v, %v: both transactions should be applied at %d", got, err, resp.Revision)
		}
	}
}

// sharedSkew: goroutines of one client read two keys, and write one of them if none is there. All
// of them commit while an earlier commit is under way, so that they could share the next request.
func sharedSkew(t *testing.T, own *etcdtest.Cluster) {
	p, err := faultproxy.NewHTTP(own.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	c := newClient(t, gateway.Config{Endpoints: []string{p.URL()}})
	s, ctx := newSession(t, c, nil), within(t, time.Minute)
	const rounds, pairs = 10, 4
	for range rounds {
		base := fresh(t)
		var held atomic.Bool // the first commit
		rule := p.Add(faultproxy.Rule{Match: func(r *faultproxy.Request) bool {
			return r.Path == "/v3/kv/txn" && held.CompareAndSwap(false, true)
		}, Action: faultproxy.DelayBefore(200 * time.Millisecond)})
		var of, read sync.WaitGroup
		read.Add(2 * pairs)
		do := func(fn func(tx *stm.Tx) error) {
			of.Go(func() {
				if _, err := stm.Do(ctx, s, fn, nil); err != nil {
					t.Error(err)
				}
			})
		}
		do(func(tx *stm.Tx) error { tx.Put(base, nil); return nil })
		recipetest.Eventually(t, "the first commit", func() bool { return rule.Hits() > 0 })
		for i := range 2 * pairs {
			keys := []string{fmt.Sprint(base, "/", i/2, "/0"), fmt.Sprint(base, "/", i/2, "/1")}
			runs := 0
			do(func(tx *stm.Tx) error {
				first, err := tx.Get(keys[0])
				second, again := tx.Get(keys[1])
				if runs++; runs == 1 {
					read.Done()
					read.Wait() // all have read before any commits
				}
				if first == nil && second == nil {
					tx.Put(keys[i%2], nil)
				}
				return errors.Join(err, again)
			})
		}
		of.Wait()
		resp, err := c.Get(ctx, base+"/", gateway.Prefix())
		if err != nil || len(resp.KVs) != pairs {
			t.Fatalf("%d keys of %d pairs, %v", len(resp.KVs), pairs, err)
		}
	}
}
