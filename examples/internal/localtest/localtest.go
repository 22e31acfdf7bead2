// Package localtest has the tests that all examples share.
package localtest

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/internal/reexec"
)

// FailsWithoutEtcd runs an example without etcd in a process of its own. It fails the test if the
// example does not print that no etcd answers, or does not exit with status 1.
func FailsWithoutEtcd(t *testing.T, example func()) {
	t.Helper()
	cmd := reexec.Repeat(t, "-test.timeout=30s")
	if cmd == nil {
		example()
		return // with status 0
	}
	endpoint := "http://" + unused(t)
	cmd.Env = append(cmd.Env, "ETCD_ENDPOINTS="+endpoint)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, not with status 1", err)
	}
	address := strings.TrimPrefix(endpoint, "http://")
	if text := string(out); !strings.Contains(text, "no etcd there") ||
		!strings.Contains(text, address) {
		t.Errorf("does not say that no etcd is at %s:\n%s", endpoint, out)
	}
}

// unused returns an address on which no server listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
