package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestABufferMayBeReusedAfterACall: a release that is completed after its caller has returned
// writes the bytes that the caller passed, not the ones that it has put into the buffer since.
func TestABufferMayBeReusedAfterACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		_, grip := holdKey(t, s, "claim", func() {})
		var silent atomic.Bool
		silent.Store(true)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if silent.Load() && c.IsTxn("result") {
				return c.Silence()
			}
			return c.Apply()
		})
		buffer := []byte("first")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := grip.ReleaseWith(ctx, core.ReleaseWrite{
			Then: []gateway.Op{gateway.OpPut("result", buffer)},
		})
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Fatal(err)
		}
		copy(buffer, "other")
		silent.Store(false)
		time.Sleep(10 * time.Second)
		if kv, ok := etcd.Get("result"); !ok || string(kv.Value) != "first" {
			t.Errorf("%v: %q", ok, kv.Value)
		}
	})
}
