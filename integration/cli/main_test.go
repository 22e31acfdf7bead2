// Package cli_test runs the program holdfast, as built, on real etcd.
package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
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

// notIgnored makes children receive signals that this process was started to ignore, as under
// nohup, because children inherit that.
func notIgnored() {
	for _, sig := range []os.Signal{
		syscall.SIGHUP, syscall.SIGINT,
		syscall.SIGQUIT, syscall.SIGTERM,
	} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

func TestMain(m *testing.M) {
	notIgnored()
	dir, err := os.MkdirTemp("", "holdfast-cli-")
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
	members    = recipetest.Members
	patience   = recipetest.Patience
)

// newClient makes a client of the shared cluster.
func newClient(tb testing.TB) *gateway.Client {
	tb.Helper()
	return recipetest.NewClient(tb, gateway.Config{Endpoints: cluster.Endpoints()})
}

func newSession(tb testing.TB) *session.Session {
	tb.Helper()
	return recipetest.NewSession(tb, newClient(tb), nil)
}
