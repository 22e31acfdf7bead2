// Fence makes a database refuse a stale writer. The database stores the fence of the last hold that
// wrote a row. An update with a smaller fence changes nothing.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite" // SQLite in Go

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func main() { local.Main(story) }

// update works the same in PostgreSQL, whose parameters are $1, $2, $3. There $2 can be used twice.
const update = `UPDATE accounts SET balance = ?, fence = ? WHERE id = ? AND fence <= ?`

// errStale means that a later hold has written, or that there is no such account.
var errStale = errors.New("a later holder has written")

// save writes a balance under the lock. A hold can write several times, because its fence stays the
// same.
//
//nolint:unparam // as a program has it
func save(ctx context.Context, db *sql.DB, lock *mutex.Lock, id string, balance int) error {
	res, err := db.ExecContext(ctx, update, balance, lock.Fence(), id, lock.Fence())
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return errStale
}

func story(ctx context.Context, cfg gateway.Config) error {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // because each connection would have a database of its own
	const table = `CREATE TABLE accounts (
			id TEXT PRIMARY KEY, balance INTEGER, fence INTEGER NOT NULL DEFAULT 0);
		INSERT INTO accounts (id, balance) VALUES ('ann', 100)`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return err
	}
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()

	s1, err := session.New(ctx, client, nil)
	if err != nil {
		return err
	}
	defer s1.Close(ctx)
	s2, err := session.New(ctx, client, nil) // another process
	if err != nil {
		return err
	}
	defer s2.Close(ctx)
	first, err := mutex.New(s1, "accounts/ann", nil).Lock(ctx)
	if err != nil {
		return err
	}
	fmt.Println("the first holder writes:", save(ctx, db, first, "ann", 110))
	// Its key is deleted, as after a pause that is longer than the lease. The holder does not check
	// the lock's context before it writes again.
	if _, err := client.Delete(ctx, first.Key()); err != nil {
		return err
	}
	second, err := mutex.New(s2, "accounts/ann", nil).Lock(ctx)
	if err != nil {
		return err
	}
	fmt.Println("the second holder writes:",
		save(ctx, db, second, "ann", 120), save(ctx, db, second, "ann", 130))
	fmt.Println("the first holder writes:", save(ctx, db, first, "ann", 111))

	const query = "SELECT balance FROM accounts WHERE id = 'ann'"
	var balance int
	if err := db.QueryRowContext(ctx, query).Scan(&balance); err != nil {
		return err
	}
	fmt.Println("balance:", balance)
	return nil
}
