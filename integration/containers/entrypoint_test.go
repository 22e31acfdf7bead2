package containers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	docker "github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/holdfast-go/holdfast/holdfasttest/containers"
)

// holdfastImage names the image of the command, which "make containers" builds.
const holdfastImage = "HOLDFAST_IMAGE"

// TestTheImageIsTheFirstProcessOfAContainer starts the image of the command as an entrypoint, with
// commands under a lock.
func TestTheImageIsTheFirstProcessOfAContainer(t *testing.T) {
	needEngine(t)
	holdfast := os.Getenv(holdfastImage)
	if holdfast == "" {
		t.Skipf("no image of the command in %s", holdfastImage)
	}
	engine, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	etcd := containers.Start(t, nil)
	command := buildCommand(t)
	run := func(t *testing.T, args ...string) testcontainers.Container {
		t.Helper()
		c, err := testcontainers.Run(t.Context(), holdfast,
			network.WithNetwork(nil, etcd.Network()),
			testcontainers.WithEnv(map[string]string{"ETCDCTL_ENDPOINTS": "http://n0:2379"}),
			testcontainers.WithFiles(testcontainers.ContainerFile{
				HostFilePath: command, ContainerFilePath: "/command", FileMode: 0o755,
			}),
			testcontainers.WithCmd(append([]string{"lock", t.Name(), "--", "/command"}, args...)...))
		testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, row := range []struct {
		name string
		args []string
		want int
	}{
		{"the status is the command's", []string{"exit", "3"}, 3},
		{"a signal that ends the command is in the status", []string{"kill"}, 137},
		{"zombies of orphans are removed", []string{"orphan"}, 0},
	} {
		t.Run(row.name, func(t *testing.T) { exits(t, run(t, row.args...), row.want) })
	}
	t.Run("signals reach the command", func(t *testing.T) {
		c := run(t, "wait")
		if err := wait.ForLog("waiting").WaitUntilReady(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		_, err := engine.ContainerKill(t.Context(), c.GetContainerID(),
			docker.ContainerKillOptions{Signal: "TERM"})
		if err != nil {
			t.Fatal(err)
		}
		exits(t, c, 7)
	})
}

// buildCommand builds the program that runs under the lock, which needs no files of a system.
func buildCommand(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "command")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./command")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// exits waits until a container has stopped, and compares its exit status.
func exits(t *testing.T, c testcontainers.Container, want int) {
	t.Helper()
	if err := wait.ForExit().WithExitTimeout(time.Minute).WaitUntilReady(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	state, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.ExitCode != want {
		t.Errorf("status %d, want %d", state.ExitCode, want)
	}
}
