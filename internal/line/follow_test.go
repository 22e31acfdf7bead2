package line_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

func TestUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		done := make(chan error, 1)
		var last line.Put
		go func() {
			done <- l.Until(t.Context(), func(v line.Snapshot) (bool, error) {
				last = v.Puts["count"]
				return last.Version == 2, nil
			})
		}()
		etcd.Put("a//count", "")
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("Until = %v", err)
		default:
		}
		etcd.Put("a//count", "")
		if err := <-done; err != nil || last.Revision != etcd.Revision() {
			t.Errorf("Until = %v at %d, now %d", err, last.Revision, etcd.Revision())
		}
		no := errors.New("no")
		if err := l.Until(t.Context(), func(line.Snapshot) (bool, error) {
			return true, no
		}); !errors.Is(err, no) {
			t.Errorf("Until = %v", err)
		}
	})
}

// TestNow checks that Now reads the current state, and that it ends with the session while the
// server is silent.
func TestNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		h := enter(t, l)
		etcd.Put("a//limit", "2")
		v, err := l.Now(t.Context())
		put := line.Put{Revision: etcd.Revision(), Version: 1}
		if err != nil || len(v.Members) != 1 || v.Members[0].Fence != h.Fence() ||
			v.Puts["limit"] != put {
			t.Errorf("Now = %+v, %v", v, err)
		}
		done := make(chan error, 1)
		etcd.Freeze()
		go func() { _, err := l.Now(t.Context()); done <- err }()
		time.Sleep(time.Minute) // the session has ended
		select {
		case err := <-done:
			if !errors.Is(err, session.ErrLost) {
				t.Errorf("Now = %v", err)
			}
		default:
			t.Error("Now goes on")
		}
		if _, err := l.Now(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Errorf("Now = %v", err)
		}
	})
}
