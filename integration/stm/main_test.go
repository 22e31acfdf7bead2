// Package stm_test tests transactional memory on real etcd.
package stm_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/stm"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	pause      = recipetest.Pause
)

func TestMain(m *testing.M) { cluster.Main(m) }

// levels are all isolation levels, by name.
var levels = map[string]stm.Isolation{
	"serializable": stm.Serializable, "snapshot": stm.SerializableSnapshot,
	"repeatable": stm.RepeatableReads, "committed": stm.ReadCommitted,
}

// number returns a key as a number, and 0 if it does not exist.
func number(tx *stm.Tx, key string) (int, error) {
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return 0, err
	}
	return strconv.Atoi(string(value))
}

// add adds to a number.
func add(tx *stm.Tx, key string, n int) error {
	old, err := number(tx, key)
	if err == nil {
		tx.Put(key, strconv.AppendInt(nil, int64(old+n), 10))
	}
	return err
}

// transfer moves an amount from a key to another one.
func transfer(tx *stm.Tx, from, to string, amount int) error {
	return errors.Join(add(tx, from, -amount), add(tx, to, amount))
}
