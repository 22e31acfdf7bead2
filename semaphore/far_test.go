package semaphore_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// caller is a caller of Acquire with a client of its own.
type caller struct {
	s      *session.Session
	cancel context.CancelFunc
	done   chan struct{}
	permit *semaphore.Permit
	err    error
}

func call(t *testing.T, etcd *fakeetcd.Server, n int, see func(*http.Request)) *caller {
	t.Helper()
	s, err := session.New(t.Context(), etcd.ClientSeen(t, see), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	c := &caller{s: s, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.permit, c.err = semaphore.New(s, "a", 3, nil).Acquire(ctx, n)
	}()
	return c
}

func (c *caller) granted() bool {
	select {
	case <-c.done:
		return c.err == nil
	default:
		return false
	}
}

// TestAReleaseIsSentToTwoWaiters counts the events of a release over a fleet of clients that wait
// for a permit: the first that waits sees it, and its note wakes the next.
func TestAReleaseIsSentToTwoWaiters(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var requests atomic.Int64
		see := func(r *http.Request) {
			if strings.Contains(r.URL.Path, "/kv/") {
				requests.Add(1)
			}
		}
		const n = 100
		var all []*caller
		for range n {
			all = append(all, call(t, etcd, 1, see))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		for i, c := range all[:n-3] {
			requests.Store(0)
			before := etcd.Events()
			release(t, c.permit)
			time.Sleep(10 * time.Millisecond)
			next := all[i+3]
			if !next.granted() {
				t.Fatalf("after release %d: %v", i, next.err)
			}
			// The waiters that joined a short line follow all of it.
			if i < 20 {
				continue
			}
			// The release, the note, and the two reads of the next one that waits.
			if events, n := etcd.Events()-before, requests.Load(); events > 2 || n > 4 {
				t.Errorf("release %d: %d events, %d requests", i, events, n)
			}
		}
	})
}

// TestAWaiterFarBackReadsTheLineOnce when it joins.
func TestAWaiterFarBackReadsTheLineOnce(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var reads atomic.Int64
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if bytes.Contains(c.Body, []byte(`"max_create_revision"`)) {
				reads.Add(1)
			}
			return c.Apply()
		})
		var all []*caller
		for range 30 {
			all = append(all, call(t, etcd, 1, func(*http.Request) {}))
			synctest.Wait()
		}
		// The first 14 found at most 16 keys, of which 2 are settings.
		if n := reads.Load(); n != int64(len(all)-14) {
			t.Errorf("%d reads", n)
		}
		for _, c := range all {
			<-c.done
			release(t, c.permit)
		}
	})
}

// TestAPermitBesideManyIsGrantedWithoutAWatch: after the join, a read of the line and the note.
func TestAPermitBesideManyIsGrantedWithoutAWatch(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var all []*semaphore.Permit
		for range 30 {
			s := bubble.Session(t, etcd)
			watches, requests := etcd.Watches(), bubble.Count(etcd)
			permit, err := semaphore.New(s, "a", 40, nil).Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // for the note
			all = append(all, permit)
			far := len(all) > 16
			if n := requests.Load(); far && (n != 3 || etcd.Watches() != watches) {
				t.Errorf("permit %d: %d requests, %d watches", len(all), n, etcd.Watches()-watches)
			}
		}
		for _, permit := range all {
			release(t, permit)
		}
	})
}

// TestAPermitIsGrantedBeforeItsNote, which the session writes in the background.
func TestAPermitIsGrantedBeforeItsNote(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		for range 20 {
			m := semaphore.New(bubble.Session(t, etcd), "a", 40, nil)
			if _, err := m.Acquire(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		var noted atomic.Bool
		s := bubble.Session(t, etcd)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			join := bytes.Contains(c.Body, []byte(`"range_end"`))
			if !join && bytes.Contains(c.Body, []byte(`"request_put"`)) {
				noted.Store(true)
				return c.Silence()
			}
			return c.Apply()
		})
		_, err := semaphore.New(s, "a", 40, nil).Acquire(bubble.Within(t, time.Second), 1)
		synctest.Wait()
		if err != nil || !noted.Load() {
			t.Errorf("Acquire = %v, noted %v", err, noted.Load())
		}
		etcd.Script(nil)
	})
}

// TestAWaiterBehindAHolderBeyondTheLimit joins far back after a Resize, behind a holder that the
// rule would no longer admit. That holder notes nothing, because it has not waited since.
func TestAWaiterBehindAHolderBeyondTheLimit(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		sem := semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
		resize := func(n int) {
			if err := sem.Resize(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		resize(20)
		var holders []*caller
		for range 20 {
			holders = append(holders, call(t, etcd, 1, func(*http.Request) {}))
			<-holders[len(holders)-1].done
		}
		resize(2)
		waiter := call(t, etcd, 1, func(*http.Request) {})
		time.Sleep(time.Minute)
		for _, h := range holders[:18] {
			release(t, h.permit)
		}
		time.Sleep(time.Second)
		if waiter.granted() {
			t.Fatal("2 of 2 are held, and one more was granted")
		}
		release(t, holders[18].permit)
		time.Sleep(time.Second)
		if !waiter.granted() {
			t.Error("1 of 2 is held, and the waiter was not granted its permit")
		}
		for _, h := range holders[19:] {
			release(t, h.permit)
		}
	})
}

// TestAnAdmissionInAFullDatabaseIsNotedLater: a permit is granted as soon as there is space for the
// note of the one before.
func TestAnAdmissionInAFullDatabaseIsNotedLater(t *testing.T) {
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
		time.Sleep(time.Second)
		etcd.Fill(true)
		for _, c := range all[far-3 : far] {
			<-c.done
			release(t, c.permit)
		}
		time.Sleep(time.Second)
		if !all[far].granted() {
			t.Fatal("the first waiter was not granted its permit")
		}
		etcd.Fill(false)
		time.Sleep(time.Minute)
		for i, c := range all[far : far+3] {
			if !c.granted() {
				t.Fatalf("3 units are free, and waiter %d was not granted its permit", i)
			}
		}
		for _, c := range all[far:] {
			<-c.done
			release(t, c.permit)
		}
	})
}

// TestWaitersFarBackInAFullDatabase: permits are granted although they cannot be noted.
func TestWaitersFarBackInAFullDatabase(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var all []*caller
		for range 40 {
			all = append(all, call(t, etcd, 1, func(*http.Request) {}))
			synctest.Wait()
		}
		etcd.Fill(true)
		for i, c := range all {
			time.Sleep(time.Second)
			if !c.granted() {
				t.Fatalf("caller %d was not granted its permit: %v", i, c.err)
			}
			release(t, c.permit)
		}
	})
}
