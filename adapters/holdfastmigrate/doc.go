// Package holdfastmigrate lets one of several programs that use golang-migrate migrate a database.
//
// # Usage
//
//	driver, err := mysql.WithInstance(db, &mysql.Config{})
//	…
//	m, err := migrate.NewWithDatabaseInstance("file://migrations", "billing",
//		holdfastmigrate.WithLock(driver, s, "migrations/billing", nil))
//
// # Guarantees
//
// The programs migrate one after the other, see package mutex. If one dies, the next one goes
// on after the lease has expired. The lock of the database is acquired under the one of etcd. After
// the lock was lost, no further migration starts.
//
// # Limitations
//
// A migration that runs when the lock is lost goes on.
//
// # Concurrency
//
// The driver is as safe for concurrent use as the one that it wraps. Its lock is not shared by
// several [migrate.Migrate].
//
// # Errors
//
// Lock returns [database.ErrLocked] when [Options.Timeout] is over. After the lock was lost, the
// methods that change the database return [session.ErrNotHeld], and so does Unlock.
//
// # Keys
//
// See package mutex.
//
// [migrate.Migrate]: https://pkg.go.dev/github.com/golang-migrate/migrate/v4#Migrate
package holdfastmigrate
