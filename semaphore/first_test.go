package semaphore_test

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAResizeThatIsSeenLateCounts: the first waiter is notified of a release before it is notified
// of a Resize, which was before that.
func TestAResizeThatIsSeenLateCounts(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var all []*caller
		for range 30 {
			all = append(all, call(t, etcd, 1, func(*http.Request) {}))
			synctest.Wait()
		}
		const far = 20 // the first waiter, after the releases
		for _, c := range all[:far-3] {
			<-c.done
			release(t, c.permit)
		}
		time.Sleep(time.Minute)
		var resized atomic.Bool
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			read := bytes.Contains(c.Body, []byte(`"max_create_revision"`))
			if read && resized.CompareAndSwap(false, true) {
				etcd.Put("a//size", "2")
			}
			return c.Apply()
		})
		release(t, all[far-3].permit)
		time.Sleep(time.Second)
		if !resized.Load() || all[far].granted() {
			t.Fatalf("resized %v, granted a third of 2: %v", resized.Load(), all[far].granted())
		}
		for _, c := range all[far-2:] {
			<-c.done
			release(t, c.permit)
		}
	})
}
