package containers_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/etcd"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestTheContractHoldsOnOneNode runs the contract suites of locks, elections, semaphores, barriers
// and queues on one etcd in a container.
func TestTheContractHoldsOnOneNode(t *testing.T) {
	contract(t)
}

// TestTheContractHoldsOnThreeNodes runs them on a cluster, with clients that know all its members.
func TestTheContractHoldsOnThreeNodes(t *testing.T) {
	contract(t, etcd.WithNodes("holdfast-1", "holdfast-2", "holdfast-3"))
}

func contract(t *testing.T, opts ...etcd.Option) {
	var custom []testcontainers.ContainerCustomizer
	for _, o := range opts {
		custom = append(custom, o)
	}
	server, err := etcd.Run(t.Context(), image(t), custom...)
	if server != nil {
		clean(t, func(ctx context.Context) error { return server.Terminate(ctx, atOnce) })
	}
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := server.ClientEndpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	healthy(t, endpoints...)
	suites := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-p", "1", "-run",
		"^TestContract$",
		"./mutex", "./election", "./semaphore", "./barrier", "./queue")
	suites.Dir = ".."
	suites.Env = append(os.Environ(), recipetest.EndpointsEnv+"="+strings.Join(endpoints, ","))
	out, err := suites.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count("\n"+string(out), "\nok  "); n != 5 {
		t.Errorf("%d of 5 suites ran:\n%s", n, out)
	}
	resp, err := client(t, endpoints...).Get(t.Context(), "any")
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
