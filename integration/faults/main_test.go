// Package faults_test breaks a cluster, its links and its clients in the ways that docs/testing.md
// lists while the recipes of package load are in use, and compares the answers of the clients with
// the events of etcd.
package faults_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main()
	goleak.VerifyTestMain(m)
}
