package machine

import (
	"os"
	"os/exec"
	"testing"
)

func TestTimesOfTheMachineAndOfAProcessAreRead(t *testing.T) {
	got, ok := parseMachine("cpu  100 20 30 4000 50 6 7 8 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
	if !ok || got.all != 158 || got.total != 4221 {
		t.Errorf("%+v, %v", got, ok)
	}
	p, ok := parseProcess([]byte("12 (a (b) c) S 34 12 12 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 " +
		"0 9"))
	if !ok || p != (process{id: 12, parent: 34, used: 127}) {
		t.Errorf("%+v, %v", p, ok)
	}
	for _, text := range []string{"", "cpu", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8"} {
		if got, ok := parseMachine(text); ok {
			t.Errorf("%q: %+v", text, got)
		}
		if p, ok := parseProcess([]byte(text)); ok {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func TestDescendantsAreTheTestsOwn(t *testing.T) {
	all := []process{
		{id: 1, parent: 0, used: 1},
		{id: 10, parent: 1, used: 10},
		{id: 11, parent: 10, used: 100},
		{id: 12, parent: 11, used: 1000},
		{id: 13, parent: 1, used: 10000},
	}
	if sum := ownTime(all, 10); sum != 1110 {
		t.Errorf("%d", sum)
	}
}

// TestWorkOfAChildIsOwnWork reads the real times while a child works, and after its end.
func TestWorkOfAChildIsOwnWork(t *testing.T) {
	read := func() times {
		t.Helper()
		got, ok := processorTimes()
		if !ok {
			t.Fatal("no times")
		}
		return got
	}
	const work = 20 // units of 10 ms
	before := read()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	during := before
	for during.own-before.own < work {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		during = read()
	}
	if err := cmd.Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	after := read()
	if after.own < during.own {
		t.Errorf("the work of a child is lost at its end: %d, then %d", during.own, after.own)
	}
	if after.all-before.all < work || after.total-before.total < after.all-before.all {
		t.Errorf("the machine worked %d of %d", after.all-before.all, after.total-before.total)
	}
}
