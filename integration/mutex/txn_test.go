package mutex_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

// TestATransactionMayHave124Operations: a session's transaction may have 124 operations, also when
// it is sent again, and fails with 128.
func TestATransactionMayHave124Operations(t *testing.T) {
	const limit = 124
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		own := etcdtest.Start(t, &etcdproc.Options{Version: version, UnsafeNoFsync: true})
		p := newHTTPProxy(t, own.Endpoints()[0])
		s := newSession(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}}), nil)
		name := fresh(t)
		held := lock(t, s, name)
		puts := func(n int) (txn gateway.Txn) {
			for i := range n {
				txn.Then = append(txn.Then, gateway.OpPut(fmt.Sprintf("%s.%d", name, i), nil))
			}
			return txn
		}
		for what, call := range map[string]func(context.Context, gateway.Txn) (*gateway.TxnResponse,
			error){
			"Session.Txn": s.Txn, "Hold.Txn": held.Txn,
		} {
			for lost := range 2 {
				if lost > 0 {
					p.Add(faultproxy.Rule{
						Match: faultproxy.Path("/v3/kv/txn"), Times: lost,
						Action: faultproxy.Drop,
					})
				}
				if resp, err := call(within(t, 20*time.Second), puts(limit)); err != nil ||
					!resp.Succeeded {
					t.Errorf("%s of %d operations, %d answers lost: %+v, %v", what, limit, lost,
						resp, err)
				}
				p.Clear()
			}
			if _, err := call(within(t, 20*time.Second), puts(limit+4)); !errors.Is(err,
				gateway.ErrInvalid) || errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("%s of too many operations: %v", what, err)
			}
		}
		unlock(t, held)
	})
}
