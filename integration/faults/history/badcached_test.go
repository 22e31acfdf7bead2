package history_test

import (
	"testing"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// cachedScene has a session with lease 1 that passes a key from a to b, a session with lease 2
// whose holder c reads its fence, and a holder of another library with lease 3.
func cachedScene() *scene {
	s := &scene{}
	key := func(key string, lease int64) history.Event {
		return history.Event{Key: key, Value: "cached", Lease: lease}
	}
	use := func(client string, lease, fence, from, write, to int64) {
		of := func(o *history.Op) { o.Key, o.Lease = "hold of "+client, lease }
		s.op(client, "m", history.Lock, from-1, from, of)
		w := s.op(client, "m", history.Write, write-1, write+1, of)
		w.Fence = fence
		s.rev(write, put("m.value", history.Guarded(fence, w.Token())))
		if to != 0 {
			s.op(client, "m", history.Unlock, to, to+1, of)
		}
	}
	s.rev(10, key("m/1", 1))
	s.rev(12, key("m/2", 2))
	use("a", 1, 0, 14, 20, 24)
	use("b", 1, 0, 25, 30, 34)
	s.rev(40, del("m/1"))
	use("c", 2, 12, 42, 50, 54)
	s.rev(56, key("m/3", 3))
	s.rev(60, del("m/2"))
	use("clientv3", 3, 0, 62, 70, 0)
	s.rev(80, del("m/3"))
	return s
}

func TestBadHistoriesOfACachedLockAreFound(t *testing.T) {
	t.Parallel()
	late := func(o *history.Op) { o.Outcome, o.Return = history.Unknown, 0 }
	// move changes the revision of a write.
	move := func(s *scene, from, to int) {
		var moved history.Revision
		log := history.Log{}
		for _, r := range s.log {
			if int(r.Rev) == from {
				moved = r
				moved.Rev, moved.At = int64(to), int64(to)
				continue
			}
			log = append(log, r)
		}
		s.log = history.Log{}
		for _, r := range log {
			if moved.Rev != 0 && r.Rev > moved.Rev {
				s.log, moved = append(s.log, moved), history.Revision{}
			}
			s.log = append(s.log, r)
		}
		if moved.Rev != 0 {
			s.log = append(s.log, moved)
		}
	}
	mustFind(t, cachedScene, func(rep *history.Report, s *scene) {
		k := history.Cached{Place: "m", Foreign: "clientv3"}
		u := k.Check(rep, &history.Conditions{}, s.log, s.ops)
		if u.Passed != 1 || u.Foreign != 1 || u.Early != 0 {
			rep.Addf("counted: %+v", u)
		}
	}, []bad{
		{"two hold one key at once", func(s *scene) {
			s.edit("a", history.Unlock, func(o *history.Op) { o.Call = 28 })
		}, "held 10 until"},
		{"a hold overlaps with one of another session", func(s *scene) {
			s.edit("b", history.Unlock, func(o *history.Op) { o.Call = 44 })
		}, "held 10 until"},
		{"the other library is granted too early", func(s *scene) {
			s.edit("clientv3", history.Lock, func(o *history.Op) { o.Return = 53 })
		}, "after clientv3 had got"},
		{"a late write is applied under the next hold", func(s *scene) {
			s.edit("a", history.Write, late)
			move(s, 20, 32)
		}, "wrote at revision"},
		{"a write is applied under another key", func(s *scene) {
			s.edit("b", history.Write, late)
			move(s, 30, 51)
		}, "was not under its hold"},
		{"a write is applied after the deletion", func(s *scene) {
			s.edit("clientv3", history.Write, late)
			move(s, 70, 81)
		}, "was not under its hold"},
		{"a key is passed on although its fence was read", func(s *scene) {
			s.edit("a", history.Write, func(o *history.Op) {
				o.Fence = 10
				s.log[2].Events[0].Value = history.Guarded(10, o.Token())
			})
		}, "has read the fence 10"},
		{"two holds read one fence", func(s *scene) {
			for i, client := range []string{"a", "b"} {
				s.edit(client, history.Write, func(o *history.Op) {
					o.Fence = 10
					s.log[2+i].Events[0].Value = history.Guarded(10, o.Token())
				})
			}
		}, "have read the fence 10"},
		{"a fence is not the one of the key", func(s *scene) {
			s.edit("c", history.Write, func(o *history.Op) {
				o.Fence = 11
				s.log[5].Events[0].Value = history.Guarded(11, o.Token())
			})
		}, "was not under its hold"},
		{"an acknowledged write is not there", func(s *scene) {
			s.log[3].Events = nil
		}, "acknowledged and is not in the log"},
		{"a refused write is there", func(s *scene) {
			s.edit("b", history.Write, func(o *history.Op) { o.Outcome = history.Refused })
		}, "was refused and is in the log"},
		{"a hold is of an earlier key than the hold before", func(s *scene) {
			s.edit("c", history.Lock, func(o *history.Op) { o.Call, o.Return = 7, 8 })
			s.edit("c", history.Unlock, func(o *history.Op) { o.Call = 9 })
		}, "had returned"},
		{"a grant without a key", func(s *scene) {
			s.edit("b", history.Lock, func(o *history.Op) { o.Lease = 4 })
			s.edit("b", history.Write, func(o *history.Op) { o.Lease = 4 })
		}, "had no key that was admitted"},
		{"a key is left", func(s *scene) { s.log = s.log[:len(s.log)-1] }, "no hold owns it"},
	})
}
