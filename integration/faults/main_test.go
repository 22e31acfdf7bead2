// Package faults_test breaks a cluster, its links and its clients in all the ways that docs/testing.md lists, while all
// recipes are in use, and checks what everybody was told against what etcd has.
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
