// Package containers_test runs holdfast against etcd in containers.
package containers_test

import (
	"os"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"go.uber.org/goleak"
)

// mustEnv makes the tests fail instead of skip if no Docker engine answers.
const mustEnv = "HOLDFAST_CONTAINERS"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needEngine skips the test if no Docker engine answers.
func needEngine(t *testing.T) {
	t.Helper()
	if os.Getenv(mustEnv) != "must" {
		testcontainers.SkipIfProviderIsNotHealthy(t)
	}
}
