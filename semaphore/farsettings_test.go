package semaphore_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
)

// TestALimitThatChangesAsTheLastOneAheadLeaves: a caller far back wakes because the member before
// it has left, and finds itself first in a line whose limit does not admit it any more.
func TestALimitThatChangesAsTheLastOneAheadLeaves(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*fakeetcd.Server)
		want   error // nil if the permit is granted
	}{
		"smaller": {
			func(etcd *fakeetcd.Server) { etcd.Put("a//size", "2") }, semaphore.ErrExceedsLimit,
		},
		"deleted": {func(etcd *fakeetcd.Server) {
			etcd.Delete("a//size")
			etcd.Delete("a//limit")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				const ahead = 30
				etcd.Put("a//limit", "3")
				etcd.Put("a//size", "3")
				for i := range ahead {
					etcd.Put(fmt.Sprintf("a/m%d", i), "1")
				}
				far := call(t, etcd, 3, func(*http.Request) {})
				time.Sleep(time.Minute)
				for i := range ahead - 1 {
					etcd.Delete(fmt.Sprintf("a/m%d", i))
				}
				synctest.Wait()
				changed := false
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/txn" && !changed { // the read of the caller
						changed = true
						tt.change(etcd)
					}
					return c.Apply()
				})
				etcd.Delete(fmt.Sprintf("a/m%d", ahead-1))
				time.Sleep(time.Minute)
				select {
				case <-far.done:
				default:
					t.Fatal("Acquire waits")
				}
				if !changed || !errors.Is(far.err, tt.want) {
					t.Errorf("changed %v, Acquire = %v, want %v", changed, far.err, tt.want)
				}
			})
		})
	}
}
