// Package limit_test tests limits, counters and IDs on real etcd.
package limit_test

import (
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

func TestMain(m *testing.M) { cluster.Main(m) }
