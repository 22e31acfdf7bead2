// Package holdfastgoose lets one of several programs that use goose migrate a database.
//
// # Usage
//
//	provider, err := goose.NewProvider(goose.DialectMySQL, db, migrations,
//		goose.WithSessionLocker(holdfastgoose.New(s, "migrations/billing", nil)))
//
// It needs no lock of the database, so that it works with each dialect, and through poolers of
// connections.
//
// # Guarantees
//
// The programs migrate one after the other, see package mutex. If one dies, the next one goes
// on after the lease has expired.
//
// # Limitations
//
// goose does not end a migration whose lock is lost. The Unlock after it returns
// [session.ErrNotHeld] then. To end it, call goose under [mutex.Mutex.Do] instead of this package:
//
//	err := mutex.New(s, "migrations/billing", nil).Do(ctx,
//		func(ctx context.Context, _ *mutex.Lock) error {
//			_, err := provider.Up(ctx)
//			return err
//		})
//
// # Concurrency
//
// A [Locker] is safe for concurrent use, also by several providers. If they use it as goose's
// lock.Locker, each needs an [sql.DB] of its own, because the database identifies the lock of a
// provider: with a shared one, the Unlock of a provider whose lock was lost would release the lock
// of the other. Each use as a lock.SessionLocker has a connection of its own.
//
// # Errors
//
// See package mutex.
//
// # Keys
//
// See package mutex.
package holdfastgoose
