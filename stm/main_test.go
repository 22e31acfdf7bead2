package stm_test

import (
	"errors"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/stm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

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

// transfer moves 1 from a key to another one.
func transfer(from, to string) func(*stm.Tx) error {
	return func(tx *stm.Tx) error { return errors.Join(add(tx, from, -1), add(tx, to, 1)) }
}

func wantKey(t *testing.T, etcd *fakeetcd.Server, key, value string) {
	t.Helper()
	if kv, ok := etcd.Get(key); string(kv.Value) != value || ok != (value != "") {
		t.Errorf("%s = %q, %v, want %q", key, kv.Value, ok, value)
	}
}
