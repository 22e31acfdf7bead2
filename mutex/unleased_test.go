package mutex_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestAReaderOrWriterIsLostWhenItsKeyLosesItsLease: a reader or writer whose key is put again
// without the lease loses the lock, and its key is deleted, so that waiters are admitted, for each
// new value of the key.
func TestAReaderOrWriterIsLostWhenItsKeyLosesItsLease(t *testing.T) {
	t.Parallel()
	type locking = func(rw *mutex.RWMutex, ctx context.Context) (*mutex.Lock, error)
	read, write := (*mutex.RWMutex).RLock, (*mutex.RWMutex).Lock
	for name, row := range map[string]struct {
		first locking
		value string // of the key
		next  locking
	}{
		"a writer, behind it a reader":     {write, "", read},
		"a writer, behind it a writer":     {write, "", write},
		"a writer that becomes a reader":   {write, "shared", write},
		"a reader, behind it a writer":     {read, "shared", write},
		"a reader that becomes a writer":   {read, "", write},
		"a reader that becomes a stranger": {read, "7", read},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				rw, other := mutex.NewRWMutex(bubble.Session(t, etcd), "a", nil),
					mutex.NewRWMutex(bubble.Session(t, etcd), "a", nil)
				first, err := row.first(rw, t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // then its key is watched
				got := make(chan *mutex.Lock, 1)
				go func() {
					lock, err := row.next(other, bubble.Within(t, time.Minute))
					if err != nil {
						t.Error(err)
					}
					got <- lock
				}()
				synctest.Wait()
				etcd.Put(first.Key(), row.value)
				next := <-got
				synctest.Wait()
				if err := first.Err(); !errors.Is(err, session.ErrKeyDeleted) ||
					first.Context().Err() == nil {
					t.Errorf("Err = %v", err)
				}
				if _, ok := etcd.Get(first.Key()); ok || next.Fence() <= first.Fence() {
					t.Errorf("the key is there: %v; fences %d, %d", ok, first.Fence(), next.Fence())
				}
				for _, err := range []error{
					first.Downgrade(t.Context()),
					first.Unlock(t.Context()),
				} {
					if !errors.Is(err, session.ErrNotHeld) {
						t.Errorf("Downgrade or Unlock = %v", err)
					}
				}
				if err := next.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				if left := etcd.Keys("a/"); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		})
	}
}
