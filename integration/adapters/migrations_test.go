package adapters_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/sqlite"
	contract "github.com/golang-migrate/migrate/v4/database/testing"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/pressly/goose/v3/lock/locktesting"

	"github.com/holdfast-go/holdfast/adapters/holdfastgoose"
	"github.com/holdfast-go/holdfast/adapters/holdfastmigrate"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var (
	_ lock.Locker        = (*holdfastgoose.Locker)(nil)
	_ lock.SessionLocker = (*holdfastgoose.Locker)(nil)
)

// open opens a database in a file, whose own locks wait.
func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// versions are migrations that fail when they are run twice.
func versions(pattern, text string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range 5 {
		files[fmt.Sprintf(pattern, i+1)] = &fstest.MapFile{
			Data: fmt.Appendf(nil, text, i, i),
		}
	}
	return files
}

// TestGooseProvidersMigrateOnce is goose's own contract test.
func TestGooseProvidersMigrateOnce(t *testing.T) {
	t.Parallel()
	files := versions("%05d_table.sql",
		"-- +goose Up\nCREATE TABLE t%d (id INTEGER);\n-- +goose Down\nDROP TABLE t%d;\n")
	for name, with := range map[string]func(*holdfastgoose.Locker) goose.ProviderOption{
		"session locker": func(l *holdfastgoose.Locker) goose.ProviderOption {
			return goose.WithSessionLocker(l)
		},
		"locker": func(l *holdfastgoose.Locker) goose.ProviderOption { return goose.WithLocker(l) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name, path := fresh(t), filepath.Join(t.TempDir(), "db")
			locktesting.TestProviderLocking(t, func(t *testing.T) *goose.Provider {
				t.Helper()
				l := holdfastgoose.New(cluster.NewSession(t, nil), name, nil)
				p, err := goose.NewProvider(goose.DialectSQLite3, open(t, path), files, with(l))
				if err != nil {
					t.Fatal(err)
				}
				return p
			})
		})
	}
}

// TestGooseLockersExcludeEachOther is goose's own contract test.
func TestGooseLockersExcludeEachOther(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	locktesting.TestConcurrentLocking(t, open(t, filepath.Join(t.TempDir(), "db")),
		func(t *testing.T) lock.Locker {
			t.Helper()
			return holdfastgoose.New(cluster.NewSession(t, nil), name, nil)
		}, 3*time.Second)
}

// TestALostLockOfGooseIsReported: by the Unlock after the migrations.
func TestALostLockOfGooseIsReported(t *testing.T) {
	t.Parallel()
	s := cluster.NewSession(t, nil)
	l := holdfastgoose.New(s, fresh(t), nil)
	ctx := within(t, time.Minute)
	if err := l.Unlock(ctx, nil); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock without a Lock = %v", err)
	}
	if err := l.Lock(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := cluster.NewClient(t, gateway.Config{}).Revoke(ctx, s.Lease()); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(ctx, nil); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock = %v", err)
	}
}

// TestALostLockOfGooseDoesNotReleaseTheNext: of another provider with the same locker.
func TestALostLockOfGooseDoesNotReleaseTheNext(t *testing.T) {
	t.Parallel()
	s, name, ctx := cluster.NewSession(t, nil), fresh(t), within(t, time.Minute)
	l := holdfastgoose.New(s, name, nil)
	lost, next := &sql.Conn{}, &sql.Conn{}
	if err := l.SessionLock(ctx, lost); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().Delete(ctx, name+"/", gateway.Prefix()); err != nil {
		t.Fatal(err)
	}
	if err := l.SessionLock(ctx, next); err != nil {
		t.Fatal(err)
	}
	if err := l.SessionUnlock(ctx, lost); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("SessionUnlock of the lost lock = %v", err)
	}
	if err := l.SessionUnlock(ctx, next); err != nil {
		t.Errorf("SessionUnlock = %v", err)
	}
}

func newDriver(
	t *testing.T, s *session.Session, name, path string, opts *holdfastmigrate.Options,
) database.Driver {
	t.Helper()
	d, err := sqlite.WithInstance(open(t, path), &sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return holdfastmigrate.WithLock(d, s, name, opts)
}

// TestTheDriverPassesTheContractOfMigrate is the own contract test of golang-migrate.
func TestTheDriverPassesTheContractOfMigrate(t *testing.T) {
	t.Parallel()
	d := newDriver(t, cluster.NewSession(t, nil), fresh(t), filepath.Join(t.TempDir(), "db"),
		&holdfastmigrate.Options{Timeout: time.Second})
	contract.Test(t, d, []byte("CREATE TABLE t (id INTEGER);"))
}

// TestProgramsWithMigrateMigrateOnce: several programs start at once.
func TestProgramsWithMigrateMigrateOnce(t *testing.T) {
	t.Parallel()
	files := versions("%d_table.up.sql", "CREATE TABLE t%d (id INTEGER); -- %d")
	name, path := fresh(t), filepath.Join(t.TempDir(), "db")
	done := make(chan error, instances)
	for range instances {
		source, err := iofs.New(files, ".")
		if err != nil {
			t.Fatal(err)
		}
		m, err := migrate.NewWithInstance("iofs", source, "db",
			newDriver(t, cluster.NewSession(t, nil), name, path, nil))
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- m.Up() }()
	}
	migrated := 0
	for range instances {
		switch err := <-done; {
		case err == nil:
			migrated++
		case !errors.Is(err, migrate.ErrNoChange):
			t.Errorf("Up = %v", err)
		}
	}
	if migrated != 1 {
		t.Errorf("%d have migrated", migrated)
	}
}

// TestNoMigrationStartsAfterALostLock: the one that runs is recorded, and no other one starts.
func TestNoMigrationStartsAfterALostLock(t *testing.T) {
	t.Parallel()
	s := cluster.NewSession(t, nil)
	d := newDriver(t, s, fresh(t), filepath.Join(t.TempDir(), "db"), nil)
	if err := d.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.NewClient(t, gateway.Config{}).Revoke(
		within(t, time.Minute), s.Lease()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss", func() bool { return s.Err() != nil })
	for verb, err := range map[string]error{
		"Run":        d.Run(strings.NewReader("CREATE TABLE t (id INTEGER);")),
		"SetVersion": d.SetVersion(2, true),
		"Drop":       d.Drop(),
	} {
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("%s = %v", verb, err)
		}
	}
	if err := d.SetVersion(1, false); err != nil {
		t.Errorf("SetVersion = %v", err)
	}
	if err := d.Unlock(); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Unlock = %v", err)
	}
}

// TestALockOfMigrateHasATimeout: before the one of golang-migrate.
func TestALockOfMigrateHasATimeout(t *testing.T) {
	t.Parallel()
	name, path := fresh(t), filepath.Join(t.TempDir(), "db")
	first := newDriver(t, cluster.NewSession(t, nil), name, path, nil)
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	second := newDriver(t, cluster.NewSession(t, nil), name, path,
		&holdfastmigrate.Options{Timeout: 100 * time.Millisecond})
	if err := second.Lock(); !errors.Is(err, database.ErrLocked) ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock = %v", err)
	}
	if err := first.Unlock(); err != nil {
		t.Errorf("Unlock = %v", err)
	}
	eventually(t, "the lock", func() bool { return second.Lock() == nil })
	if err := second.Unlock(); err != nil {
		t.Errorf("Unlock = %v", err)
	}
}
