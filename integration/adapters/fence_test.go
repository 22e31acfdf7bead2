package adapters_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// ledger is a table of SQLite that refuses a fence which is smaller than the one before.
type ledger struct{ *sql.DB }

func newLedger(t *testing.T) ledger {
	t.Helper()
	db := open(t, filepath.Join(t.TempDir(), "ledger"))
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE ledger (fence INTEGER, who TEXT);
		INSERT INTO ledger VALUES (0, '')`); err != nil {
		t.Fatal(err)
	}
	return ledger{db}
}

// write reports whether the table took a write.
func (l ledger) write(t *testing.T, fence int64, who string) bool {
	t.Helper()
	res, err := l.ExecContext(t.Context(),
		`UPDATE ledger SET fence = ?, who = ? WHERE fence <= ?`, fence, who, fence)
	if err != nil {
		t.Fatal(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// TestADatabaseRefusesAnEarlierCachedLock: however the time of a cached key ends, the database
// refuses writes with its fence once a later holder has written. Only the last of the holds to
// which the key was passed has a fence.
func TestADatabaseRefusesAnEarlierCachedLock(t *testing.T) {
	t.Parallel()
	revoke := func(t *testing.T, s *session.Session, _ *mutex.Lock) error {
		t.Helper()
		return s.Client().Revoke(t.Context(), s.Lease())
	}
	for name, end := range map[string]struct {
		opts mutex.Options
		do   func(t *testing.T, s *session.Session, l *mutex.Lock) error
		want error // of the lock then
	}{
		"unlocked": {
			do: func(t *testing.T, _ *session.Session, l *mutex.Lock) error {
				t.Helper()
				return l.Unlock(t.Context())
			},
			want: session.ErrReleased,
		},
		"lost":       {do: revoke, want: session.ErrLost},
		"lost delay": {opts: mutex.Options{LockDelay: time.Second}, do: revoke, want: session.ErrLost},
		"overdue":    {opts: mutex.Options{MaxHold: 500 * time.Millisecond}, want: session.ErrOverdue},
		"broken": {
			do: func(t *testing.T, s *session.Session, l *mutex.Lock) error {
				t.Helper()
				name, _, _ := strings.Cut(l.Key(), "/")
				return mutex.New(s, name, nil).Break(t.Context(), l.Key(), l.Fence(), "why not")
			},
			want: session.ErrKeyDeleted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, name := newLedger(t), fresh(t)
			s, cached := cluster.NewSession(t, nil), end.opts
			cached.Cache = true
			m := mutex.New(s, name, &cached)
			first, second := locked(t, m), make(chan *mutex.Lock)
			go func() {
				defer close(second)
				if l, err := m.Lock(t.Context()); err != nil {
					t.Error(err)
				} else {
					second <- l
				}
			}()
			if err := first.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			l, ok := <-second
			if !ok {
				t.Fatal("no second hold")
			}
			fence := l.Fence()
			if f := first.Fence(); f >= fence {
				t.Errorf("the first hold has the fence %d, the second %d", f, fence)
			}
			if !db.write(t, fence, "second") {
				t.Error("the write of the holder was refused")
			}
			if end.do != nil {
				if err := end.do(t, s, l); err != nil {
					t.Fatal(err)
				}
			}
			next := locked(t, mutex.New(cluster.NewSession(t, nil), name,
				&mutex.Options{LockDelay: end.opts.LockDelay}))
			eventually(t, "the end of the hold", func() bool { return errors.Is(l.Err(), end.want) })
			if !db.write(t, next.Fence(), "next") {
				t.Error("the write of the next holder was refused")
			}
			if db.write(t, fence, "second, late") {
				t.Error("the late write was not refused")
			}
		})
	}
}

func locked(t *testing.T, m *mutex.Mutex) *mutex.Lock {
	t.Helper()
	l, err := m.Lock(within(t, recipetest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	return l
}
