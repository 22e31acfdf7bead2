package containers_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/holdfasttest/containers"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestTheContractHoldsOnOneNode runs the contract suites of locks, elections, semaphores, barriers
// and queues on one etcd in a container.
func TestTheContractHoldsOnOneNode(t *testing.T) {
	contract(t, 1)
}

// TestTheContractHoldsOnThreeNodes runs them on a cluster, with clients that know all its members.
func TestTheContractHoldsOnThreeNodes(t *testing.T) {
	contract(t, 3)
}

func contract(t *testing.T, nodes int) {
	needEngine(t)
	etcd := containers.Start(t, &containers.Options{Nodes: nodes})
	suites := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-p", "1", "-run",
		"^TestContract$",
		"./mutex", "./election", "./semaphore", "./barrier", "./queue")
	suites.Dir = ".."
	suites.Env = append(os.Environ(), recipetest.EndpointsEnv+"="+strings.Join(etcd.Endpoints(), ","))
	out, err := suites.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count("\n"+string(out), "\nok  "); n != 5 {
		t.Errorf("%d of 5 suites ran:\n%s", n, out)
	}
	resp, err := etcd.Client().Get(t.Context(), "any")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Revision < 1000 {
		t.Errorf("the suites have left revision %d: they ran on other servers", resp.Revision)
	}
	if strings.Contains(string(out), "no tests to run") {
		t.Errorf("a suite has no tests:\n%s", out)
	}
}
