package gateway_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
)

func endless(st *stream) {
	st.write(`{"result":{"header":{"cluster_id":"`)
	for range 17 << 20 / (256 << 10) {
		st.write(strings.Repeat("7", 256<<10))
	}
}

// TestAMessageMayBeLongerThanAnyBuffer: a message far longer than any buffer, up to the limit.
func TestAMessageMayBeLongerThanAnyBuffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, _ := watch(t, s.client(t), "a")
		st := s.next(t)
		id := st.accept("a", 0, 5)
		st.write(line(6, `"watch_id":"%d","events":[{"kv":{"key":"YQ==","create_revision":"6",`+
			`"mod_revision":"6","value":"%s"}}]`, id, strings.Repeat("AAAA", 1<<20)))
		r.want(t, "created 5", "a@6")
		if n := len(r.got[1].Events[0].KV.Value); n != 3<<20 {
			t.Errorf("%d bytes", n)
		}
	})
}

// TestARevisionIsDeliveredComplete: a revision is delivered complete. A stream that breaks inside
// it loses and repeats nothing.
func TestARevisionIsDeliveredComplete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		a, _ := watch(t, s.client(t), "a", gateway.Prefix())
		st := s.next(t)
		id := st.accept("a", 0, 5)
		st.write(fragment(id, kv("a1", 6), kv("a2", 7)))
		a.want(t, "created 5", "a1@6")
		st.write(fragment(id, kv("a3", 7)))
		a.want(t, "created 5", "a1@6")
		st.write(events(id, kv("a4", 7), kv("a1", 8)))
		a.want(t, "created 5", "a1@6", "a2@7 a3@7 a4@7 a1@8")
		st.write(fragment(id, kv("a1", 9), kv("a2", 9)), fragment(id, kv("a3", 9)))
		a.want(t, "created 5", "a1@6", "a2@7 a3@7 a4@7 a1@8")
		st.cut()

		st = s.next(t)
		id = st.accept("a", 9, 9)
		st.write(fragment(id, kv("a1", 9), kv("a2", 9)), events(id, kv("a3", 9)))
		a.want(t, "created 5", "a1@6", "a2@7 a3@7 a4@7 a1@8", "a1@9 a2@9 a3@9")
	})
}

// TestProgressMovesTheRevisionToResumeAt: progress moves the revision at which a watch resumes, on
// servers that send it in order.
func TestProgressMovesTheRevisionToResumeAt(t *testing.T) {
	t.Parallel()
	for version, counts := range map[string]bool{
		"3.4.23": false, "3.4.24": false, "3.4.25": true, "3.4.45": true, "3.5.7": false,
		"3.5.8": true, "3.5.35": true,
		"3.6.0": true, "3.6.0-rc.4": true, "3.7.3": true, "4.0.0": true, "2.3.8": false,
		"3.3.99": false, "": false, "junk": false,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 1, nil)
				s.version = version
				c := s.client(t)
				_, _ = watch(t, c, "a")
				st := s.next(t)
				id := st.accept("a", 0, 5)
				st.write(progress(20)) // asks for the version
				synctest.Wait()
				st.write(progress(30))
				future, _ := watch(t, c, "z", gateway.AtRevision(100))
				z := st.create("z", 100)
				st.write(created(z, 30), progress(40))
				future.want(t, "created 30")
				st.cut()
				st = s.next(t)
				starts := map[string]int64{}
				for range 2 {
					m := st.read()
					starts[string(m.Create.Key)] = m.Create.Start
				}
				if want := map[bool]int64{true: 41, false: 6}[counts]; starts["a"] != want ||
					starts["z"] != 100 {
					t.Errorf("resumed at %v, want a at %d and z at 100", starts, want)
				}
				_ = id
			})
		})
	}
}

// TestProgressSkipsNoIncompleteRevision: progress does not skip an incomplete revision, or a watch
// that is not confirmed.
func TestProgressSkipsNoIncompleteRevision(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		_, _ = watch(t, c, "a", gateway.Prefix())
		st := s.next(t)
		id := st.accept("a", 0, 5)
		st.write(progress(5))
		synctest.Wait()
		_, _ = watch(t, c, "b", gateway.AtRevision(2))
		st.create("b", 2)
		st.write(fragment(id, kv("a1", 9), kv("a2", 9)), progress(20))
		synctest.Wait()
		st.cut()
		st = s.next(t)
		for range 2 {
			if m := st.read(); m.Create.Start != map[string]int64{
				"a": 6,
				"b": 2,
			}[string(m.Create.Key)] {
				t.Errorf("%s resumed at %d", m.Create.Key, m.Create.Start)
			}
		}
	})
}
