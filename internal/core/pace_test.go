package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestKeysThatAlwaysChange: if another program puts a key of the session before each try of a
// write, the tries pause. When the other program stops, the next write is applied.
func TestKeysThatAlwaysChange(t *testing.T) {
	t.Parallel()
	txn := func(ctx context.Context, s *session.Session) error {
		_, err := s.Txn(ctx, once("done", true))
		return err
	}
	flat := func(ctx context.Context, s *session.Session) error {
		_, err := core.Of(s).TxnFlat(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("done", nil)}}, 0)
		return err
	}
	write := func(ctx context.Context, s *session.Session) error {
		_, err := core.Of(s).Write(ctx, core.Write{Then: []gateway.Op{gateway.OpPut("done", nil)}})
		return err
	}
	together := func(ctx context.Context, s *session.Session) error {
		_, err := core.Of(s).Write(ctx, core.Write{
			Then: []gateway.Op{gateway.OpPut("done", nil, gateway.WithLease(s.Lease()))}, Key: "done",
		})
		return err
	}
	group := func(ctx context.Context, s *session.Session) error {
		_, err := core.Of(s).Write(ctx, core.Write{
			Then: []gateway.Op{gateway.OpPut("done", nil)}, Weight: 1,
		})
		return err
	}
	for name, row := range map[string]struct {
		key  string // behind the record
		call func(ctx context.Context, s *session.Session) error
	}{
		"receipt of Txn":             {"/w0", txn},
		"receipt of TxnFlat":         {"/w0", flat},
		"record of Txn":              {"", txn},
		"record of Write":            {"", write},
		"record of a batch":          {"", together},
		"record of a weighted write": {"", group},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				etcd.Put(record(s)+"/w0", "then")
				var tries atomic.Int64
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn("done") {
						etcd.Touch(record(s) + row.key)
						if tries.Add(1) > 1000 {
							c.Sleep(time.Minute) // a busy loop must not stop the fake time
						}
					}
					return c.Apply()
				})
				err := row.call(within(t, 10*time.Second), s)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("while it changes: %v", err)
				}
				if n := tries.Load(); n < 5 || n > 25 {
					t.Errorf("%d tries in 10 s", n)
				}
				if _, ok := etcd.Get("done"); ok {
					t.Error("it was applied")
				}
				etcd.Script(nil)
				if err := row.call(t.Context(), s); err != nil {
					t.Error(err)
				}
				if _, ok := etcd.Get("done"); !ok {
					t.Error("it was not applied")
				}
			})
		})
	}
}

// TestWatchesThatAlwaysEnd: each watch ends as compacted as soon as it is created, which no etcd
// does. The session then watches again once a second, and works as before once watches last.
func TestWatchesThatAlwaysEnd(t *testing.T) {
	t.Parallel()
	for name, watch := range map[string]func(ctx context.Context, s *session.Session) error{
		"a hold": func(ctx context.Context, s *session.Session) error {
			if _, err := mutex.New(s, "free", nil).Lock(ctx); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		},
		"a line": func(ctx context.Context, s *session.Session) error {
			_, err := mutex.New(s, "a", nil).Lock(ctx)
			return err
		},
		"a crowd": func(ctx context.Context, s *session.Session) error {
			_, err := mutex.New(s, "b", nil).Lock(ctx)
			return err
		},
		"a barrier": func(ctx context.Context, s *session.Session) error {
			return barrier.New(s, "a").Wait(ctx)
		},
		"a queue": func(ctx context.Context, s *session.Session) error {
			_, err := queue.New(s, "a", nil).Receive(ctx)
			return err
		},
		"room": func(ctx context.Context, s *session.Session) error {
			_, err := queue.New(s, "full", &queue.Options{MaxLength: 1}).Enqueue(ctx, nil, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				etcd.Put("a/x", "")
				for i := range 30 {
					etcd.Put(fmt.Sprint("b/x", i), "")
				}
				etcd.Put("full//q/9/0000000000000001", "{}\n")
				s := open(t, etcd, nil)
				etcd.CompactWatches(true)
				calls := counted(etcd)
				if err := watch(within(t, 10*time.Second), s); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("while they end: %v", err)
				}
				// A restart takes up to 8 requests: a queue looks for its next delayed item in steps.
				if n := calls.Load(); n > 10*8 {
					t.Errorf("%d requests in 10 s", n)
				}
				etcd.CompactWatches(false)
				etcd.Script(nil)
				lock, err := mutex.New(s, "c", nil).Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				etcd.Delete(lock.Key())
				synctest.Wait()
				if err := lock.Err(); !errors.Is(err, session.ErrKeyDeleted) {
					t.Errorf("a hold afterwards: %v", err)
				}
			})
		})
	}
}
