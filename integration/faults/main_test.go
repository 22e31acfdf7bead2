// Package faults_test breaks a cluster, its links and its clients in the ways that docs/testing.md
// lists while all recipes are in use, and compares the answers of the clients with the events of
// etcd.
package faults_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(childVar); config != "" {
		os.Exit(child(config))
	}
	goleak.VerifyTestMain(m)
}
