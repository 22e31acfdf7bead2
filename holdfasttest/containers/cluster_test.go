package containers_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/holdfasttest/containers"
	"github.com/holdfast-go/holdfast/mutex"
)

func TestASessionHoldsALockOnOneNode(t *testing.T) {
	needEngine(t)
	etcd := containers.Start(t, nil)
	if n := len(etcd.Endpoints()); n != 1 {
		t.Errorf("%d endpoints", n)
	}
	err := mutex.New(etcd.Session(nil), "job", nil).Do(t.Context(),
		func(context.Context, *mutex.Lock) error {
			_, err := etcd.Client().Get(t.Context(), "job")
			return err
		})
	if err != nil {
		t.Error(err)
	}
}

// TestTheArgumentsReachTheNodes: etcd refuses a request of more bytes than its argument allows.
func TestTheArgumentsReachTheNodes(t *testing.T) {
	needEngine(t)
	etcd := containers.Start(t, &containers.Options{Args: []string{"--max-request-bytes=1024"}})
	_, err := etcd.Client().Put(t.Context(), "job", make([]byte, 2048))
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a request of 2 KiB: %v", err)
	}
}

// TestStartFailsWithoutAnEngine runs a test of this file where the socket of the engine is hidden.
// The test fails, and the program goes on.
func TestStartFailsWithoutAnEngine(t *testing.T) {
	args := []string{
		"-m", "sh", "-c", `mount --bind /dev/null /var/run/docker.sock && exec "$0" "$@"`,
		os.Args[0], "-test.v", "-test.run=^TestASessionHoldsALockOnOneNode$",
	}
	if err := exec.CommandContext(t.Context(), "unshare", "-m", "true").Run(); err != nil {
		t.Skipf("the socket cannot be hidden from a program: unshare: %v", err)
	}
	needEngine(t)
	child := exec.CommandContext(t.Context(), "unshare", args...)
	child.Env = append(os.Environ(), mustEnv+"=must")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: TestASession") ||
		!strings.Contains(string(out), "holdfasttest/containers: start: ") {
		t.Errorf("%v:\n%s", err, out)
	}
}
