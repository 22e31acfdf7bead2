package mutex_test

import (
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestAZeroMutexHasNoSession: its methods return an error. A RWMutex is no different.
func TestAZeroMutexHasNoSession(t *testing.T) {
	t.Parallel()
	var m mutex.Mutex
	var rw mutex.RWMutex
	_, err1 := m.Lock(t.Context())
	_, err2 := rw.Lock(t.Context())
	_, err3 := rw.TryRLock(t.Context())
	_, err4 := rw.Inspect(t.Context())
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestANegativeLockDelayIsInvalid(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		for name, cache := range map[string]bool{"a": false, "b": true} {
			m := mutex.New(s, name, &mutex.Options{LockDelay: -1, Cache: cache})
			if _, err := m.TryLock(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("cache %v: TryLock = %v", cache, err)
			} else if _, err := m.Lock(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("cache %v: Lock = %v", cache, err)
			}
		}
	})
}
