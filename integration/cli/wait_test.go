package cli_test

import (
	"slices"
	"testing"
)

// TestWaitZeroTriesOnce: -w 0 tries once, like -n and flock's -w 0. A time that is too short for an
// answer of etcd does the same.
func TestWaitZeroTriesOnce(t *testing.T) {
	t.Parallel()
	for _, w := range []string{"0", "0s", "1ns", "0.001"} {
		name := fresh(t)
		hf(t, 0, "queue", "put", name+"-q", "x")
		for _, args := range [][]string{
			{"lock", name, "--", "true"},
			{"lock", "-s", name, "--", "true"},
			{"lock", name, name + "-b", "--", "true"},
			{"elect", name, "me", "--", "true"},
			{"semaphore", name + "-s", "--limit", "2", "--", "true"},
			{"barrier", "wait", name},
			{"barrier", "enter", name + "-e", "--parties", "1", "--", "true"},
			{"latch", "down", name + "-l", "--count", "1"},
			{"latch", "wait", name + "-l", "--count", "1"},
			{"queue", "get", name + "-q"},
			{"queue", "put", name + "-q", "x", "--max-length", "1"},
			{"limit", name + "-r", "--rate", "1/h", "--", "true"},
		} {
			if args[1] != "down" {
				args = with(args, "-w", w)
			}
			hf(t, 0, args...)
		}
		hold(t, name)
		start(t, "semaphore", name+"-s", "--limit", "2", "--weight", "2").line()
		hf(t, 0, "queue", "get", name+"-q")
		hf(t, 0, "queue", "put", name+"-f", "x")
		hf(t, 0, "barrier", "hold", name+"-up")
		for _, args := range [][]string{
			{"lock", name, "--", "true"},
			{"lock", "-s", name, "--", "true"},
			{"lock", name, name + "-b", "--", "true"},
			{"elect", name, "me", "--", "true"},
			{"semaphore", name + "-s", "--limit", "2", "--", "true"},
			{"barrier", "wait", name},
			{"barrier", "wait", name + "-up"},
			{"barrier", "enter", name + "-e", "--parties", "2", "--", "true"},
			{"latch", "wait", name + "-m", "--count", "1"},
			{"queue", "get", name + "-q"},
			{"queue", "put", name + "-f", "x", "--max-length", "1"},
			{"limit", name + "-r", "--rate", "1/h", "--", "true"},
		} {
			if args[1] == "enter" {
				args[2] = name + "-e2"
			}
			complain(t, 9, with(args, "-w", w, "-E", "9")...)
		}
		awaitMembers(t, name, 1)
	}
}

// with puts flags after the verb.
func with(args []string, flags ...string) []string {
	verb := 1
	if slices.Contains([]string{"barrier", "latch", "queue"}, args[0]) {
		verb = 2
	}
	return slices.Concat(args[:verb], flags, args[verb:])
}
