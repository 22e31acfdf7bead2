// Package holdfasttest_test compares the etcd in memory with real etcd, and tests a program that
// uses it from outside of this repository.
package holdfasttest_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
