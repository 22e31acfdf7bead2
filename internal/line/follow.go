package line

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Follow gives the line as it is, and again after it has changed, until ctx or the session ends, of which the last pair
// tells. Revisions only grow; states in between may be left out.
func (l *Line) Follow(ctx context.Context) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		if err := l.checkName(); err != nil {
			yield(Snapshot{}, err)
			return
		}
		m := l.mirror()
		defer m.release()
		r := m.read()
		defer m.unread(r)
		ctx, cancel := l.bound(ctx)
		defer cancel()
		shown := int64(-1)
		for {
			if err := m.sync(ctx); err != nil {
				yield(Snapshot{}, l.endCause(ctx, err))
				return
			}
			if v, ok := m.snapshot(); ok && v.Revision > shown {
				shown = v.Revision
				if !yield(v, nil) {
					return
				}
				continue // it may have changed meanwhile
			}
			select {
			case <-r.wake:
			case <-ctx.Done():
				yield(Snapshot{}, l.endCause(ctx, ctxerr.Of(ctx)))
				return
			}
		}
	}
}

// Until returns nil when the line has come to a state of which done is true, or done's error. It looks at the states that
// [Line.Follow] gives, of which the first may be older than the call.
func (l *Line) Until(ctx context.Context, done func(Snapshot) (bool, error)) error {
	for v, err := range l.Follow(ctx) {
		if err != nil {
			return err
		}
		if ok, err := done(v); ok || err != nil {
			return err
		}
	}
	return nil
}

func (m *mirror) read() *reader {
	r := &reader{wake: make(chan struct{}, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers[r] = struct{}{}
	return r
}

func (m *mirror) unread(r *reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.readers, r)
}

// snapshot copies the state; ok is false if the mirror has just been lost.
func (m *mirror) snapshot() (_ Snapshot, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.view
	v.Members, v.Settings, v.Puts = slices.Clone(v.Members), maps.Clone(v.Settings), maps.Clone(v.Puts)
	return v, m.synced
}
