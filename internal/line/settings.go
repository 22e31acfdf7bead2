package line

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// settingsWatch is the reducer of the settings of a line, for one member far back whose wait
// depends on them. A nil settingsWatch never changes.
type settingsWatch struct {
	*listwatch.Cache
	prefix  string        // of the line
	changed chan struct{} // receives after a change, or when the copy is stale

	mu       sync.Mutex
	snapshot Snapshot // without members
}

// watchSettings returns nil if the wait does not depend on the settings. The watch must be closed.
func (l *Line) watchSettings(j Join) *settingsWatch {
	if j.Abort == nil {
		return nil
	}
	s := &settingsWatch{prefix: l.prefix(), changed: make(chan struct{}, 1)}
	s.Cache = listwatch.New(l.Session.Client(), s, []string{l.SettingKey("")}, gateway.Prefix())
	return s
}

// startAt starts the watch at a read of the line. It does nothing after check.
func (s *settingsWatch) startAt(v Snapshot) {
	if s == nil {
		return
	}
	s.snapshot = Snapshot{Revision: v.Revision, Settings: v.Settings, Puts: v.Puts}
	s.Patient = true
	s.StartAt(v.Revision)
}

// check returns the error of Abort, or errNear when Abort has to see the members.
func (s *settingsWatch) check(ctx context.Context, j Join, me Member) error {
	if s == nil {
		return nil
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.AbortsBySettings && len(s.snapshot.Settings) > 0 {
		return errNear
	}
	return j.Abort(s.snapshot, me)
}

func (s *settingsWatch) changes() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.changed
}

// Close stops the watch.
func (s *settingsWatch) Close() {
	if s != nil {
		s.Cache.Close()
	}
}

// List signals no change, because it runs only within check, which looks at the new copy.
func (s *settingsWatch) List(read *gateway.GetResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshot = snapshotOf(read, s.prefix)
}

func (s *settingsWatch) Apply(events []gateway.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range events {
		s.snapshot.set(ev, s.prefix)
	}
	signal(s.changed)
}

func (s *settingsWatch) Stale() { signal(s.changed) }
