package line_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
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

// TestDeniedWatch checks that all waiters and readers of a mirror return the error when the watch
// of the line is canceled, and that the next waiter has a mirror that works.
func TestDeniedWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Put("a/x", "")
		l := open(t, etcd)
		waiters := []*entering{goEnter(t.Context(), l), goEnter(t.Context(), l)}
		reader := make(chan error, 1)
		go func() {
			reader <- l.Until(t.Context(), func(line.Snapshot) (bool, error) { return false, nil })
		}()
		synctest.Wait()
		etcd.DenyWatches(true)
		for _, w := range append(waiters, goEnter(t.Context(), l)) {
			if w.waits() || !errors.Is(w.err, gateway.ErrPermissionDenied) {
				t.Errorf("Enter = %v", w.err)
			}
		}
		if err := <-reader; !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Until = %v", err)
		}
		if keys := etcd.Keys("a/"); len(keys) != 1 {
			t.Errorf("left: %v", keys)
		}
		etcd.DenyWatches(false)
		w := goEnter(t.Context(), l)
		if !w.waits() {
			t.Fatalf("Enter = %v", w.err)
		}
		etcd.Delete("a/x")
		if w.waits() || w.err != nil {
			t.Errorf("Enter = %v", w.err)
		}
	})
}

// TestFollowAcrossCompactions checks that a reader sees the last state of the line after each of
// several compactions, and that its revisions only grow.
func TestFollowAcrossCompactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		states := make(chan line.Snapshot, 100)
		done := make(chan error, 1)
		go func() {
			done <- l.Until(t.Context(), func(s line.Snapshot) (bool, error) {
				states <- s
				return s.Settings["count"] == "last", nil
			})
		}()
		for i := range 5 {
			time.Sleep(2 * time.Second)
			etcd.BreakWatches(true)
			synctest.Wait()
			etcd.Put("a//count", strconv.Itoa(i))
			etcd.Compact()
			etcd.BreakWatches(false)
		}
		time.Sleep(3 * time.Second)
		etcd.Put("a//count", "last")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		close(states)
		revision := int64(0)
		var last line.Snapshot
		for s := range states {
			if s.Revision <= revision {
				t.Errorf("revision %d after %d", s.Revision, revision)
			}
			revision, last = s.Revision, s
		}
		if last.Revision != etcd.Revision() {
			t.Errorf("%d at the end, now %d", last.Revision, etcd.Revision())
		}
	})
}
