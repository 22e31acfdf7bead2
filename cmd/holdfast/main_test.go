package main

import (
	"testing"

	"go.uber.org/goleak"
)

// The verbs are tested by integration/cli, as built and on real etcd.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
