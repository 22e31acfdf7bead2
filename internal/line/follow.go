package line

import (
	"context"
	"iter"
	"maps"
	"slices"
)

// Follow yields the line, and again after each change, until ctx or the session ends. Revisions
// only grow, and states in between may be skipped. The first state may be older than the call. The
// last pair holds the error: ctx's, the session's, or the one that ended the watch.
func (l *Line) Follow(ctx context.Context) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		if err := l.checkName(); err != nil {
			yield(Snapshot{}, err)
			return
		}
		ctx, cancel := l.Session.Bound(ctx)
		defer cancel()
		for v, err := range l.reader().follow(ctx) {
			if err != nil {
				err = l.endCause(ctx, err)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Until calls done for each state that [Line.Follow] yields, of which the first may be older than
// the call. It returns nil when done returns true. Returns done's error when done fails, and else
// the error that ended Follow.
func (l *Line) Until(ctx context.Context, done func(Snapshot) (bool, error)) error {
	return until(l.Follow(ctx), done)
}

func (m *mirror) addReader() (wake chan struct{}) {
	wake = make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers[wake] = struct{}{}
	return wake
}

func (m *mirror) removeReader(wake chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.readers, wake)
}

// wakeReaders wakes all readers. mu must be locked.
func (m *mirror) wakeReaders() {
	for wake := range m.readers {
		signal(wake)
	}
}

// copy returns a copy of the snapshot. ok is false if the mirror is not complete.
func (m *mirror) copy() (_ Snapshot, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.snapshot
	v.Members, v.Settings, v.Puts =
		slices.Clone(v.Members), maps.Clone(v.Settings), maps.Clone(v.Puts)
	return v, m.synced
}
