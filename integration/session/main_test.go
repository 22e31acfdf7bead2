// Package session_test checks, on real etcd and with all recipes, how a session ends and how it
// survives changes of certificates and passwords.
package session_test

import (
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that all tests of the package share.
var cluster recipetest.Shared

// Names from recipetest.
var (
	figure  = recipetest.Figure
	within  = recipetest.Within
	fresh   = recipetest.Fresh
	members = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

// plain returns a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return cluster.NewSession(tb, nil)
}
