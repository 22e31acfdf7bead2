// Package fleet_test counts the cost of a release for a fleet of clients that wait for one name.
package fleet_test

import (
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that the tests of the package share.
var cluster recipetest.Shared

func TestMain(m *testing.M) { cluster.Main(m) }
