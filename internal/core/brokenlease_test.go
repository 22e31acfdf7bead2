package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestABreakWithoutARecordLeavesNoLease: the lease of the record would last a day.
func TestABreakWithoutARecordLeavesNoLease(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*fakeetcd.Server, *fakeetcd.Call) fakeetcd.Answer{
		"denied": func(*fakeetcd.Server, *fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() },
		"gone": func(etcd *fakeetcd.Server, c *fakeetcd.Call) fakeetcd.Answer {
			etcd.Delete("a/x")
			return c.Apply()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				etcd.Put("a/x", "")
				kv, _ := etcd.Get("a/x")
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn("a/x") {
						return answer(etcd, c)
					}
					return c.Apply()
				})
				err := session.Break(t.Context(), etcd.Client(t), "a/x", kv.CreateRevision, "why")
				time.Sleep(time.Second)
				_, left := etcd.Get("a/x")
				if err == nil || left != (name == "denied") {
					t.Errorf("Break = %v, the key is there: %v", err, left)
				}
				if n := etcd.Leases(); n != 0 {
					t.Errorf("%d leases are left", n)
				}
			})
		})
	}
}
