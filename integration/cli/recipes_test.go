package cli_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNoMoreCommandsRunThanTheLimit: no more commands run at a time than the limit permits.
func TestNoMoreCommandsRunThanTheLimit(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	one := start(t, "semaphore", name, "--limit", "3")
	one.line()
	two := start(t, "semaphore", name, "--limit", "3", "--weight", "2")
	two.line()
	hf(t, 1, "semaphore", name, "--limit", "3", "-n", "--", "true")
	hf(t, 5, "semaphore", name, "--limit", "3", "-w", "1.5", "-E", "5", "--", "true")
	if text := complain(t, 64, "semaphore", name, "--limit", "4", "--",
		"true"); !strings.Contains(text, "3") {
		t.Error(text)
	}
	next := start(t, "semaphore", name, "--limit", "3", "--weight", "2", "--", "sh", "-c",
		"echo $HOLDFAST_FENCE")
	awaitMembers(t, name, 3)
	one.signal(syscall.SIGTERM)
	one.want(0)
	if next.ended() {
		t.Error("three of three, and two more")
	}
	two.signal(syscall.SIGTERM)
	next.line()
	next.want(0)
}

// TestLeadersFollowEachOtherAndAreObserved: leaders follow each other, and are observed.
func TestLeadersFollowEachOtherAndAreObserved(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	complain(t, 1, "leader", name)
	watch := start(t, "leader", "--watch", name)
	if l := watch.line(); l != "" {
		t.Errorf("nobody shows %q", l)
	}
	first := start(t, "elect", name, "first", "--", "sh", "-c",
		"trap 'exit 4' TERM; echo $HOLDFAST_KEY; while :; do sleep 0.05; done")
	if key := first.line(); !strings.HasPrefix(key, name+"/") {
		t.Errorf("key %q", key)
	}
	if l := watch.line(); l != "first" {
		t.Errorf("watched %q", l)
	}
	if l := hf(t, 0, "leader", name); l != "first" {
		t.Errorf("the leader is %q", l)
	}
	if l := hf(t, 0, "leader", "--json", name); !strings.Contains(l, `"value":"first"`) {
		t.Errorf("the leader is %s", l)
	}
	hf(t, 1, "elect", "-w", "1.5", name, "late", "--", "true")
	second := start(t, "elect", name, "second")
	awaitMembers(t, name, 2)
	first.signal(syscall.SIGTERM)
	first.want(4)
	second.line()
	for l := watch.line(); l != "second"; l = watch.line() {
		if l != "" {
			t.Errorf("watched %q", l)
		}
	}
	watch.signal(syscall.SIGINT)
	watch.want(0)
}

// TestNobodyPassesABarrierThatIsUp: nobody passes a barrier that is up.
func TestNobodyPassesABarrierThatIsUp(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 0, "barrier", "wait", name)
	complain(t, 1, "barrier", "release", name)
	hf(t, 0, "barrier", "hold", name)
	hf(t, 1, "barrier", "wait", name, "-w", "1.5")
	waiting := start(t, "barrier", "wait", name)
	hf(t, 0, "barrier", "release", name)
	waiting.want(0)

	up := start(t, "barrier", "hold", name, "--", "sh", "-c",
		"trap 'exit 3' TERM; echo $HOLDFAST_FENCE; while :; do sleep 0.05; done")
	up.line()
	hf(t, 1, "barrier", "wait", name, "-w", "1.5")
	up.signal(syscall.SIGTERM)
	up.want(3)
	hf(t, 0, "barrier", "wait", name)
}

// TestAllCommandsOfABarrierRunTogether: all commands run at the same time, and none returns before
// all have left.
func TestAllCommandsOfABarrierRunTogether(t *testing.T) {
	t.Parallel()
	name, dir := fresh(t), t.TempDir()
	// Each command waits until all are inside, and prints when it has left.
	script := `touch ` + dir + `/$$; while [ $(ls ` + dir +
		` | wc -l) -lt 3 ]; do sleep 0.01; done; echo round $HOLDFAST_ROUND; exit 2`
	var all []*running
	for range 2 {
		all = append(all,
			start(t, "barrier", "enter", name, "--parties", "3", "--", "sh", "-c", script))
	}
	awaitMembers(t, name, 2)
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 {
		t.Error("somebody is inside before all have come")
	}
	complain(t, 64, "barrier", "enter", name, "--parties", "2", "--", "true")
	all = append(all,
		start(t, "barrier", "enter", name, "--parties", "3", "--", "sh", "-c", script))
	for _, r := range all {
		if l := r.line(); l != "round 1" {
			t.Errorf("printed %q", l)
		}
		r.want(2)
	}
	awaitMembers(t, name, 0)
	hf(t, 1, "barrier", "enter", name, "--parties", "3", "-w", "1.5")
	hf(t, 0, "barrier", "enter", fresh(t), "--parties", "1")
}

// TestALatchOpensAfterItsCount: the latch opens after its count.
func TestALatchOpensAfterItsCount(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	if l := hf(t, 0, "latch", "left", name, "--count", "2"); l != "2" {
		t.Errorf("%s left", l)
	}
	waiting := start(t, "latch", "wait", name, "--count", "2")
	hf(t, 0, "latch", "down", name, "--count", "2")
	hf(t, 1, "latch", "wait", name, "--count", "2", "-w", "1.5")
	if waiting.ended() {
		t.Error("it is open after one of two counts")
	}
	hf(t, 0, "latch", "down", name, "--count", "2")
	waiting.want(0)
	if all := rows(t, "latch", "left", name, "--count", "2"); len(all) != 1 ||
		all[0]["left"] != 0.0 {
		t.Errorf("left: %v", all)
	}
	complain(t, 64, "latch", "wait", name, "--count", "3")
}

// TestEveryShellHasACompletionScript: every shell has a completion script.
func TestEveryShellHasACompletionScript(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := hf(t, 0, "completion", shell); !strings.Contains(out, "holdfast") {
			t.Errorf("%s: %q", shell, out)
		}
	}
	if out := hf(t, 0, "__complete", "queue", ""); !strings.Contains(out, "consume") {
		t.Errorf("queue: %q", out)
	}
}
