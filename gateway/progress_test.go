package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// told are the reports of progress that a watch got.
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

// progressOf is the report on one watch that etcd gives from time to time.
func progressOf(id, rev int64) string { return line(rev, `"watch_id":"%d"`, id) }

// TestProgress is told to those who asked, once they stand and the member is known to keep the order, and never back.
func TestProgress(t *testing.T) {
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
			{progress(6), "[]"}, // by a member whose version is not known yet
			{progress(7), "[7]"},
			{progressOf(idA, 8), "[7 8]"},
			{progressOf(idB, 9), "[7 8]"},
			{progressOf(idLater, 9), "[7 8]"}, // which begins at 100
			{fragment(idA, kv("a", 10)), "[7 8]"},
			{progress(11), "[7 8]"}, // the rest of revision 10 is still to come
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

// TestProgressOfOldMember may overtake events: nothing is told.
func TestProgressOfOldMember(t *testing.T) {
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
		for rev := int64(6); rev < 10; rev++ {
			st.write(progress(rev), progressOf(id, rev))
			synctest.Wait()
		}
		if got := a.told(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
	})
}

// TestRequestProgress asks at once, and again while etcd leaves it unanswered or the stream breaks.
func TestRequestProgress(t *testing.T) {
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
		id := st.accept("a", 0, 5)
		stopOther()
		if m := st.read(); m.Cancel == nil {
			t.Fatalf("%+v", m)
		}
		asked := func() {
			t.Helper()
			for {
				m := st.read()
				if m.Create != nil { // a sign of life
					st.write(created(m.Create.ID, 5))
				}
				if m.Progress != nil {
					return
				}
			}
		}
		if err := c.RequestProgress(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		asked()
		if time.Since(began) != 0 {
			t.Errorf("asked after %v", time.Since(began))
		}
		st.write(events(id, kv("a", 6))) // the stream lives
		asked()
		st.cut()
		st = s.next(t)
		st.accept("a", 7, 8)
		asked()
		st.write(progress(8)) // the version is not known yet, so that it asks once more
		asked()
		st.write(progress(9))
		synctest.Wait()
		if got := fmt.Sprint(a.told()); got != "[9]" {
			t.Errorf("told %s", got)
		}
		before := len(st.messages)
		st.write(events(id, kv("a", 10)))
		time.Sleep(time.Second)
		if len(st.messages) != before {
			t.Errorf("asked again after the answer: %+v", st.read())
		}
		_ = c.Close()
		wantErr(t, c.RequestProgress(), list(gateway.ErrClosed), nil)
	})
}

// TestResponses come in batches, with progress in its place.
func TestResponses(t *testing.T) {
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
		st.write(progress(5)) // the version is learned
		synctest.Wait()
		st.write(progress(6), events(id, kv("a", 7), kv("a", 7)), events(id, kv("a", 8)), progress(9))
		synctest.Wait()
		var got []string
		for r, err := range w.Responses() {
			if err != nil {
				got = append(got, "error")
				break
			}
			got = append(got, fmt.Sprintf("%d events, %v %d", len(r.Events), r.Progress, r.Revision))
			switch len(got) {
			case 2:
				st.write(progress(10))
			case 3:
				st.write(line(9, `"watch_id":"%d","canceled":true,"compact_revision":"8"`, id))
			}
		}
		if want := []string{"3 events, false 8", "0 events, true 9", "0 events, true 10", "error"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestCompactRevision is where a watch could go on.
func TestCompactRevision(t *testing.T) {
	t.Parallel()
	responses, err := gateway.HandleLines(created(1, 5), line(5, `"watch_id":"1","canceled":true,"compact_revision":"4"`))
	if err != nil || len(responses) != 2 {
		t.Fatal(responses, err)
	}
	wantErr(t, responses[1].Err, list(gateway.ErrCompacted), nil)
	if e, ok := responses[1].Err.(*gateway.Error); !ok || e.CompactRevision != 4 { //nolint:errorlint // it is one
		t.Errorf("%#v", responses[1].Err)
	}
}

// TestWatchOnce returns the first event, and the watch ends.
func TestWatchOnce(t *testing.T) {
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
