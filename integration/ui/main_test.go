// Package ui_test opens the page of holdfast ui, as built, in Chromium, on real etcd.
package ui_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

var (
	cluster *etcdtest.Cluster // one member that all tests share
	program string            // the path of holdfast
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "holdfast-ui-")
	if err == nil {
		program = filepath.Join(dir, "holdfast")
		var out []byte
		if out, err = exec.Command("go", "build", "-C", "../../cmd/holdfast", "-o",
			program, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(
		etcdtest.Shared(m, recipetest.Server(etcdproc.Versions()[0]), func(c *etcdtest.Cluster) {
			cluster = c
		}),
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(dir)
			os.Exit(code)
		}),
	)
}

// Short names for helpers that the tests of all recipes share.
var (
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	patience   = recipetest.Patience
)

func newClient(tb testing.TB) *gateway.Client {
	tb.Helper()
	return recipetest.NewClient(tb, gateway.Config{Endpoints: cluster.Endpoints()})
}

func newSession(tb testing.TB, name string) *session.Session {
	tb.Helper()
	return recipetest.NewSession(tb, newClient(tb), &session.Options{Name: name})
}
