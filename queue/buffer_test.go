package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestBufferAfterUncertain: a caller whose context has ended may use its buffer again, although the
// request with its item, which it shares with another caller, is made again.
func TestBufferAfterUncertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		leaves := make(chan struct{})
		n := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("jobs//q/") {
				n++
				if n < 3 {
					<-leaves
				}
				if n == 2 { // another program moves the tail first
					kv, _ := etcd.Get("jobs//tail")
					etcd.Put("jobs//tail", string(kv.Value))
				}
			}
			return c.Apply()
		})
		errs := make(chan error, 2)
		put := func(ctx context.Context, value []byte) {
			_, err := q.Enqueue(ctx, value, nil)
			errs <- err
		}
		ctx, cancel := context.WithCancel(t.Context())
		go put(t.Context(), []byte("first"))
		synctest.Wait()
		left := []byte("original")
		go func() {
			_, err := q.Enqueue(ctx, left, nil)
			copy(left, "reused!!")
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Enqueue = %v", err)
			}
			leaves <- struct{}{} // the tail is compared after this
		}()
		go put(t.Context(), []byte("third"))
		synctest.Wait()
		leaves <- struct{}{}
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for _, key := range etcd.Keys("jobs//q/") {
			if kv, _ := etcd.Get(key); strings.Contains(string(kv.Value), "reused") {
				t.Errorf("%s = %q", key, kv.Value)
			}
		}
		if n := len(etcd.Keys("jobs//q/")); n != 3 {
			t.Errorf("%d items", n)
		}
	})
}
