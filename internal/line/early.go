package line

import "slices"

// Early grant. A waiter is granted the line before the members ahead of it have left, if this
// process has released all of them and no transaction can be applied under them any more. Their
// keys stand for all other clients until they are deleted, so no other member is granted the line
// in between.
//
// It is safe because a copy of a line that has a member also has all that are ahead of it: new keys
// come behind. So each other member is behind the waiter, whose key keeps it out, or is one of the
// released.
//
// Inspect shows a released member as the holder until its key is deleted. Recipes whose users must
// not see that do without. So does a lock delay, because it reads from the line how a hold ended.

func (l *Line) grantsEarly() bool { return l.EarlyGrant && l.Delay <= 0 }

// quiet notes that the member was released and that no transaction can be applied under it.
func (l *Line) quiet(key string, fence int64) {
	if m, ok := mirrors.Find(l.mirrorID()); ok {
		m.noteReleased(Member{Key: key, Fence: fence})
	}
}

// noteReleased notes that a member was released, before its key is deleted.
func (m *mirror) noteReleased(o Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.synced && m.hasLeft(o) {
		return
	}
	m.released[o.Key] = o.Fence
	if m.synced {
		m.decide()
	}
}

// forgetReleased forgets the released members that are not in the line. mu is held, and m is
// synced.
func (m *mirror) forgetReleased() {
	for key, fence := range m.released {
		if m.hasLeft(Member{Key: key, Fence: fence}) {
			delete(m.released, key)
		}
	}
}

// hasLeft reports whether a member that has joined is no longer in the line. A snapshot older than
// the join cannot show that.
func (m *mirror) hasLeft(o Member) bool {
	return m.snapshot.Revision >= o.Fence && !slices.ContainsFunc(m.snapshot.Members, o.is)
}

// unreleased returns the line without the released members at its front, and their number.
func (m *mirror) unreleased() (v Snapshot, released int) {
	v = m.snapshot
	for _, o := range v.Members {
		if m.released[o.Key] != o.Fence {
			break
		}
		released++
	}
	v.Members = v.Members[released:]
	return v, released
}
