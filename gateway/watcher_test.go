package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// open makes a Watcher at a server that confirms it.
func open(
	t *testing.T, s *watchServer, c *gateway.Client, ctx context.Context, key string,
) (*gateway.Watcher, *stream, int64) {
	t.Helper()
	type made struct {
		w   *gateway.Watcher
		err error
	}
	ch := make(chan made)
	go func() {
		w, err := c.Watch(ctx, key)
		ch <- made{w, err}
	}()
	st := s.next(t)
	id := st.accept(key, 0, 5)
	m := <-ch
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m.w, st, id
}

// drain reads a watcher to its end.
func drain(w *gateway.Watcher) (got []string, err error) {
	for ev, e := range w.Events() {
		if e != nil {
			return got, e
		}
		got = append(got, fmt.Sprintf("%s@%d", ev.KV.Key, ev.KV.ModRevision))
	}
	return got, nil
}

func TestAWatcherReturnsItsEventsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		w, st, id := open(t, s, s.client(t), t.Context(), "a")
		if w.Revision() != 5 {
			t.Errorf("revision %d", w.Revision())
		}
		st.write(events(id, kv("a", 6), kv("a", 7)), events(id, kv("a", 8)))
		n := 0
		for ev, err := range w.Events() {
			if n++; err != nil || ev.KV.ModRevision != int64(5+n) {
				t.Errorf("event %d: %+v, %v", n, ev, err)
			}
			if n == 3 {
				break // closes it
			}
		}
		st.hungUp()
		_, err := drain(w)
		wantErr(t, err, list(gateway.ErrClosed), nil)
		w.Close()
	})
}

// TestAWatcherEndsWithItsErrorAfterItsEvents: a watcher ends with its error, after the events that
// had arrived.
func TestAWatcherEndsWithItsErrorAfterItsEvents(t *testing.T) {
	t.Parallel()
	cause := errors.New("the caller's reason")
	for _, tt := range []struct {
		name string
		end  func(c *gateway.Client, cancel context.CancelCauseFunc, w *gateway.Watcher, st *stream,
			id int64)
		is []error
	}{
		{"context", func(_ *gateway.Client, cancel context.CancelCauseFunc, _ *gateway.Watcher,
			_ *stream, _ int64,
		) {
			cancel(cause)
		}, list(context.Canceled, cause)},
		{"Close of the watcher", func(_ *gateway.Client, _ context.CancelCauseFunc,
			w *gateway.Watcher, _ *stream, _ int64,
		) {
			w.Close()
		}, list(gateway.ErrClosed)},
		{"Close of the client", func(c *gateway.Client, _ context.CancelCauseFunc,
			_ *gateway.Watcher, _ *stream, _ int64,
		) {
			_ = c.Close()
		}, list(gateway.ErrClosed)},
		{"compaction", func(_ *gateway.Client, _ context.CancelCauseFunc, _ *gateway.Watcher,
			st *stream, id int64,
		) {
			st.write(line(9, `"watch_id":"%d","canceled":true,"compact_revision":"8"`, id))
		}, list(gateway.ErrCompacted)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 1, nil)
				c := s.client(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				w, st, id := open(t, s, c, ctx, "a")
				st.write(events(id, kv("a", 6)))
				synctest.Wait()
				time.AfterFunc(time.Second, func() { tt.end(c, cancel, w, st, id) })
				got, err := drain(w)
				if fmt.Sprint(got) != "[a@6]" {
					t.Errorf("events %v", got)
				}
				wantErr(t, err, tt.is, nil)
				st.hungUp()
			})
		})
	}
}

// TestAWatchEndsWithItsContextBeforeItIsConfirmed: if the context ends before the server has
// confirmed the watch, nothing of it is left.
func TestAWatchEndsWithItsContextBeforeItIsConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := c.Watch(ctx, "a")
		wantErr(t, err, list(context.DeadlineExceeded), nil)
		s.next(t).hungUp()
		s.none(t)
	})
}

// TestASlowWatcherLosesNothingAndDelaysNobody: a slow reader costs bounded memory, loses nothing,
// and does not delay the others.
func TestASlowWatcherLosesNothingAndDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		c.SetWatchBuffer(16 << 10)
		slow, st, id := open(t, s, c, t.Context(), "a")
		fast, _ := watch(t, c, "b")
		idFast := st.accept("b", 0, 5)

		big := func(id, rev int64) string {
			return line(rev, `"watch_id":"%d","events":[{"kv":{"key":"YQ==","create_revision":"1",`+
				`"mod_revision":"%d","value":"%s"}}]`, id, rev, strings.Repeat("AAAA", 1<<10))
		}
		rev := int64(5)
		var cancelled bool
		for !cancelled { // 3 KiB each
			rev++
			st.write(big(id, rev))
			synctest.Wait()
			select {
			case m := <-st.messages:
				cancelled = m.Cancel != nil && m.Cancel.ID == id
			default:
			}
			if rev > 20 {
				t.Fatal("the watch was never taken back")
			}
		}
		if rev != 11 { // the sixth of 3 KiB passes 16 KiB
			t.Errorf("taken back after revision %d", rev)
		}
		st.write(events(idFast, kv("b", 12)), big(id, 13), events(idFast, kv("b", 14)))
		fast.want(t, "created 5", "b@12", "b@14")

		got := make(chan int64, 100)
		go func() {
			for ev, err := range slow.Events() {
				if err != nil {
					break
				}
				got <- ev.KV.ModRevision
			}
			close(got)
		}()
		id = st.accept("a", 12, 14) // created again after the last event that was kept
		st.write(big(id, 13), events(id, kv("a", 15)))
		synctest.Wait()
		slow.Close()
		st.write(events(id, kv("a", 16)))
		var revs []int64
		for r := range got {
			revs = append(revs, r)
		}
		if fmt.Sprint(revs) != "[6 7 8 9 10 11 13 15]" {
			t.Errorf("got revisions %v", revs)
		}
	})
}

// TestASlowWatcherLearnsOfACompaction: the reader receives an error if events were compacted while
// it was slow.
func TestASlowWatcherLearnsOfACompaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		c.SetWatchBuffer(16 << 10)
		w, st, id := open(t, s, c, t.Context(), "a")
		for rev := int64(6); rev < 12; rev++ {
			st.write(line(rev, `"watch_id":"%d","events":[{"kv":{"key":"YQ==","create_revision":"1",`+
				`"mod_revision":"%d","value":"%s"}}]`, id, rev, strings.Repeat("AAAA", 1<<10)))
		}
		st.hungUp() // the only watch was cancelled
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err := drain(w)
			if len(got) != 6 {
				t.Errorf("%d events", len(got))
			}
			wantErr(t, err, list(gateway.ErrCompacted), nil)
		}()
		st = s.next(t)
		id = st.accept("a", 12, 30)
		st.write(line(30, `"watch_id":"%d","canceled":true,"compact_revision":"25"`, id))
		<-done
	})
}
