package line

import "testing"

// TestReleased checks which members a mirror takes for released.
func TestReleased(t *testing.T) {
	t.Parallel()
	a, b := Member{Key: "a/a", Fence: 4}, Member{Key: "a/b", Fence: 5}
	c := Member{Key: "a/c", Fence: 6}
	early := func(m Member, s script) *waiter { return s.addWaiter(m, Join{}, true) }
	forgotten := func(t *testing.T, s script) {
		t.Helper()
		if len(s.released) != 0 {
			t.Errorf("not forgotten: %v", s.released)
		}
	}

	t.Run("in turn", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.read(6, a, b, c)
		wb, wc := early(b, s), early(c, s)
		s.noteReleased(b) // while a is ahead
		s.want(t, wc, state{})
		s.noteReleased(a)
		s.want(t, wc, state{admitted: true})
		s.want(t, wb, state{})
		s.events(del("a/a", 7), del("a/b", 7))
		forgotten(t, s)
	})
	t.Run("behind another client", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.read(6, a, b, c)
		wc := early(c, s)
		s.noteReleased(a)
		s.want(t, wc, state{})
		s.events(del("a/b", 7))
		s.want(t, wc, state{admitted: true})
	})
	t.Run("a key used again", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.read(5, a, b)
		s.noteReleased(a)
		s.events(del("a/a", 6), del("a/b", 7), put("a/a", 8, 8))
		wc := early(Member{Key: "a/c", Fence: 9}, s)
		s.events(put("a/c", 9, 9))
		s.want(t, wc, state{})
		forgotten(t, s)
	})
	t.Run("the earlier of two with one key", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.read(4, a)
		s.noteReleased(Member{Key: "a/a", Fence: 6}) // of which the mirror has not heard yet
		wb := early(b, s)
		s.events(put("a/b", 5, 5))
		s.want(t, wb, state{})
		s.events(del("a/a", 6))
		s.want(t, wb, state{admitted: true})
	})
	t.Run("after it has left", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.read(6, b, c)
		s.noteReleased(a)
		forgotten(t, s)
	})
	t.Run("while stale", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.read(6, a, b, c)
		wb, wc := early(b, s), early(c, s)
		s.Stale()
		<-wb.wake
		<-wc.wake
		s.noteReleased(a)
		s.noteReleased(b)
		s.want(t, wb, state{}) // another member may have joined and left
		s.read(7, a, c)
		s.want(t, wb, state{gone: true})
		s.want(t, wc, state{admitted: true})
		s.events(del("a/a", 8))
		forgotten(t, s)
	})
}
