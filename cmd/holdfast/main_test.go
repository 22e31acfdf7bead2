package main

import (
	"testing"

	"go.uber.org/goleak"
)

// The verbs are tested in integration/cli, with the program as built and a real etcd.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
