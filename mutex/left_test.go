package mutex_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// lockBehind starts a Lock that waits.
func lockBehind(t *testing.T, etcd *fakeetcd.Server) <-chan *mutex.Lock {
	t.Helper()
	got := make(chan *mutex.Lock, 1)
	s := bubble.Session(t, etcd)
	go func() {
		l, err := mutex.NewRWMutex(s, "a", nil).Lock(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	time.Sleep(time.Second)
	if len(got) > 0 {
		t.Fatal("a Lock behind a holder does not wait")
	}
	return got
}

func noMarks(t *testing.T, etcd *fakeetcd.Server) {
	t.Helper()
	for _, key := range etcd.Keys(session.DefaultRecordPrefix) {
		if strings.HasSuffix(key, "/left") {
			t.Error("there is", key)
		}
	}
}

// TestAReaderLeavesNoMark: a writer in a long line waits for all readers ahead of it, although its
// predecessor has held the lock and unlocked it.
func TestAReaderLeavesNoMark(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		lengthen(etcd)
		var readers []*mutex.Lock
		for range 2 {
			l, err := mutex.NewRWMutex(bubble.Session(t, etcd), "a", nil).RLock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, l)
		}
		writer := lockBehind(t, etcd)
		if err := readers[1].Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		if synctest.Wait(); len(writer) > 0 {
			t.Error("a writer holds the lock beside a reader")
		}
		noMarks(t, etcd)
		if err := readers[0].Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		<-writer
	})
}

// TestAnAdoptedLockLeavesNoMark: its key names another session than the one that unlocks it.
func TestAnAdoptedLockLeavesNoMark(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		lengthen(etcd)
		opts := &mutex.Options{Detachable: true}
		l, err := mutex.New(bubble.Session(t, etcd), "a", opts).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiter := lockBehind(t, etcd)
		token, err := l.Detach(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		adopted, err := mutex.Adopt(t.Context(), bubble.Session(t, etcd), token)
		if err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); len(waiter) > 0 {
			t.Error("a waiter holds the lock beside its new owner")
		}
		if err := adopted.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		<-waiter
		noMarks(t, etcd)
	})
}
