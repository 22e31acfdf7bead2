package gateway_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// The result is the progress reports that a watch received.
func (r *recorder) told() (revs []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.got {
		if w.Progress {
			revs = append(revs, w.Revision)
		}
	}
	return revs
}

// progressOf is the report on one watch that etcd sends from time to time.
func progressOf(id, rev int64) string { return line(rev, `"watch_id":"%d"`, id) }

// TestProgressIsReportedToItsWatches: progress is reported to the watches that ask for it, after
// they are confirmed, if the member is known to keep the order. It never moves back.
func TestProgressIsReportedToItsWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, _ := watch(t, c, "a", gateway.ProgressNotify())
		st := s.next(t)
		idA := st.accept("a", 0, 5)
		b, _ := watch(t, c, "b")
		idB := st.accept("b", 0, 5)
		later, _ := watch(t, c, "later", gateway.ProgressNotify(), gateway.AtRevision(100))
		idLater := st.accept("later", 100, 5)
		steps := []struct{ line, want string }{
			{progress(6), "[]"}, // from a member of unknown version
			{progress(7), "[7]"},
			{progressOf(idA, 8), "[7 8]"},
			{progressOf(idB, 9), "[7 8]"},
			{progressOf(idLater, 9), "[7 8]"}, // the watch begins at 100
			{fragment(idA, kv("a", 10)), "[7 8]"},
			{progress(11), "[7 8]"}, // the rest of revision 10 is missing
			{events(idA, kv("a", 10), kv("a", 12)), "[7 8]"},
			{progress(11), "[7 8]"},
			{progress(12), "[7 8 12]"},
		}
		for _, step := range steps {
			st.write(step.line)
			synctest.Wait()
			if got := fmt.Sprint(a.told()); got != step.want {
				t.Errorf("after %s: told %s, want %s", step.line, got, step.want)
			}
		}
		if len(b.told()) != 0 || len(later.told()) != 0 {
			t.Errorf("told %v and %v", b.told(), later.told())
		}
		st.cut()
		st = s.next(t)
		starts := map[string]int64{}
		for range 3 {
			m := st.read()
			starts[string(m.Create.Key)] = m.Create.Start
		}
		if fmt.Sprint(starts) != "map[a:13 b:13 later:100]" {
			t.Errorf("resumed at %v", starts)
		}
	})
}

// TestProgressOfAnOldMemberIsNotReported: nothing is reported, because progress may overtake
// events.
func TestProgressOfAnOldMemberIsNotReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		s.version = "3.4.23"
		c := s.client(t)
		a, _ := watch(t, c, "a", gateway.ProgressNotify())
		st := s.next(t)
		id := st.accept("a", 0, 5)
		if err := c.RequestProgress(); err != nil {
			t.Fatal(err)
		}
		if m := st.read(); m.Progress == nil {
			t.Fatalf("%+v", m)
		}
		rev := int64(6)
		for ; rev < 10; rev++ {
			st.write(progress(rev), progressOf(id, rev))
			synctest.Wait()
		}
		if n := st.questions(id, &rev, 5*time.Second); n != 0 {
			t.Errorf("asked %d times more", n)
		}
		if got := a.told(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
	})
}

// questions counts the progress requests within d, on a stream that is always busy. A request at
// the very end counts.
func (s *stream) questions(id int64, rev *int64, d time.Duration) (n int) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		*rev++
		s.write(events(id, kv("a", *rev)))
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		for len(s.messages) > 0 {
			m := <-s.messages
			if m.Progress != nil {
				n++
			}
			if m.Create != nil {
				s.t.Errorf("asked for a sign of life: %+v", m.Create)
			}
		}
	}
	return n
}

// TestRequestedProgressIsReported: a request is sent at once, and again if etcd does not answer it
// or the stream breaks.
func TestRequestedProgressIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		wantErr(t, c.RequestProgress(), list(gateway.ErrInvalid), nil)
		_, stopOther := watch(t, c, "other")
		st := s.next(t)
		st.accept("other", 0, 5)
		wantErr(t, c.RequestProgress(), list(gateway.ErrInvalid), nil)
		a, _ := watch(t, c, "a", gateway.ProgressNotify())
		id, rev := st.accept("a", 0, 5), int64(5)
		stopOther()
		if m := st.read(); m.Cancel == nil {
			t.Fatalf("%+v", m)
		}
		if n := st.questions(id, &rev, 5*time.Second); n != 0 {
			t.Errorf("asked %d times before anybody wanted to know", n)
		}
		atOnce := func(what string) {
			t.Helper()
			synctest.Wait()
			select {
			case m := <-st.messages:
				if m.Progress == nil {
					t.Errorf("%s: %+v", what, m)
				}
			default:
				t.Errorf("%s: not asked", what)
			}
		}
		if err := c.RequestProgress(); err != nil {
			t.Fatal(err)
		}
		atOnce("a request")
		if n := st.questions(id, &rev, 5*time.Second); n < 2 {
			t.Errorf("asked %d times while there was no answer", n)
		}
		st.cut()
		st = s.next(t)
		id = st.accept("a", rev+1, rev)
		if n := st.questions(id, &rev, 5*time.Second); n < 2 {
			t.Errorf("asked %d times on the next stream", n)
		}
		st.write(progress(rev))
		atOnce("an answer by a member whose version was not known")
		rev++
		st.write(progress(rev))
		synctest.Wait()
		if got, want := fmt.Sprint(a.told()), fmt.Sprint([]int64{rev}); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		if n := st.questions(id, &rev, 5*time.Second); n != 0 {
			t.Errorf("asked %d times after the answer", n)
		}
		_ = c.Close()
		wantErr(t, c.RequestProgress(), list(gateway.ErrClosed), nil)
	})
}

// TestResponsesAreBatchesWithProgressInPlace: responses are batches, with progress at its place.
func TestResponsesAreBatchesWithProgressInPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		made := make(chan *gateway.Watcher)
		go func() {
			w, err := c.Watch(t.Context(), "a", gateway.ProgressNotify())
			if err != nil {
				t.Error(err)
			}
			made <- w
		}()
		st := s.next(t)
		id := st.accept("a", 0, 5)
		w := <-made
		st.write(progress(5)) // the version becomes known
		synctest.Wait()
		st.write(progress(6), events(id, kv("a", 7), kv("a", 7)),
			events(id, kv("a", 8)), progress(9))
		synctest.Wait()
		var got []string
		for r, err := range w.Responses() {
			if err != nil {
				got = append(got, "error")
				break
			}
			got = append(got,
				fmt.Sprintf("%d events, %v %d", len(r.Events), r.Progress, r.Revision))
			switch len(got) {
			case 2:
				st.write(progress(10))
				synctest.Wait()
			case 3:
				// the events make the earlier progress report redundant
				st.write(progress(11), events(id, kv("a", 12)))
				synctest.Wait()
			case 4:
				st.write(line(9, `"watch_id":"%d","canceled":true,"compact_revision":"8"`, id))
			}
		}
		want := []string{
			"3 events, false 8", "0 events, true 9", "0 events, true 10",
			"1 events, false 12", "error",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestACompactionErrorHasTheRevisionToContinueAt: the error has the revision from which a watch can
// continue.
func TestACompactionErrorHasTheRevisionToContinueAt(t *testing.T) {
	t.Parallel()
	responses, err := gateway.HandleLines(created(1, 5),
		line(5, `"watch_id":"1","canceled":true,"compact_revision":"4"`))
	if err != nil || len(responses) != 2 {
		t.Fatal(responses, err)
	}
	wantErr(t, responses[1].Err, list(gateway.ErrCompacted), nil)
	//nolint:errorlint // it is one
	if e, ok := responses[1].Err.(*gateway.Error); !ok || e.CompactRevision != 4 {
		t.Errorf("%#v", responses[1].Err)
	}
}

// TestWatchOnceReturnsTheFirstEvent: it returns the first event and ends the watch.
func TestWatchOnceReturnsTheFirstEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		type result struct {
			ev  gateway.Event
			err error
		}
		got := make(chan result)
		go func() {
			ev, err := c.WatchOnce(t.Context(), "a", gateway.AtRevision(3))
			got <- result{ev, err}
		}()
		st := s.next(t)
		id := st.accept("a", 3, 5)
		st.write(events(id, kv("a", 4), kv("a", 5)))
		if r := <-got; r.err != nil || r.ev.KV.ModRevision != 4 {
			t.Errorf("%+v", r)
		}
		st.hungUp()
		_, err := c.WatchOnce(t.Context(), "a", gateway.Limit(1))
		wantErr(t, err, list(gateway.ErrInvalid), nil)
	})
}
