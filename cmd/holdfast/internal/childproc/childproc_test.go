//go:build unix

package childproc_test

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
)

// start runs a script and waits for the first line that it prints.
func start(
	t *testing.T, h hold, grace time.Duration, script string,
) (p *childproc.Process, line string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	p, err = runner(t).Start(childproc.Command{
		Args: []string{"sh", "-c", script}, Env: os.Environ(),
		Stdin: null(t), Stdout: w, Stderr: os.Stderr, Grace: grace,
	}, h)
	if err != nil {
		t.Fatal(err)
	}
	if line, err = bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return p, strings.TrimSpace(line)
}

// TestStatusIsAsInAShell: the status is the one that a shell would see.
func TestStatusIsAsInAShell(t *testing.T) {
	for script, want := range map[string]int{
		"echo; exit 0": 0, "echo; exit 3": 3, "echo; kill -TERM $$": 128 + 15,
		"echo; kill -KILL $$": 128 + 9,
	} {
		p, _ := start(t, lasting(time.Hour), time.Second, script)
		if res := p.Wait(); res.Status != want || res.Lost {
			t.Errorf("%s: %+v", script, res)
		}
		p.Signal(syscall.SIGTERM) // the number may belong to another process by now
	}
}

// TestSignalReachesTheGroup: a signal reaches the whole group.
func TestSignalReachesTheGroup(t *testing.T) {
	p, line := start(t, lasting(time.Hour), time.Second, `trap "exit 7" USR1
		sh -c 'echo $$; while :; do sleep 0.01; done' & while :; do sleep 0.01; done`)
	p.Signal(syscall.SIGUSR1)
	if res := p.Wait(); res.Status != 7 || res.Lost {
		t.Errorf("%+v", res)
	}
	goneBy(t, line, time.Second)
}

// TestLossSendsSIGTERM: when the hold is lost, SIGTERM is sent, and a command that obeys has the
// whole grace for it.
func TestLossSendsSIGTERM(t *testing.T) {
	h := lasting(time.Hour)
	p, _ := start(t, h, 20*time.Second,
		`trap 'sleep 0.2; exit 9' TERM; echo; while :; do sleep 0.01; done`)
	h.lose()
	if res := p.Wait(); res.Status != 9 || !res.Lost {
		t.Errorf("%+v", res)
	}
}

// ignoresTERM starts a process that ignores SIGTERM, and prints its number.
const ignoresTERM = `sh -c 'trap "" TERM; echo $$; while :; do sleep 0.01; done' & `

// TestALossInSleepEndsTheCommand: a hold whose end only Err shows, as after a sleep of the machine,
// ends the command and starts none.
func TestALossInSleepEndsTheCommand(t *testing.T) {
	h := lasting(time.Hour)
	p, _ := start(t, h, 20*time.Second, `trap 'exit 9' TERM; echo; while :; do sleep 0.01; done`)
	h.slept.Store(true)
	if res := p.Wait(); res.Status != 9 || !res.Lost {
		t.Errorf("%+v", res)
	}
	c := childproc.Command{
		Args: []string{"true"}, Stdin: null(t), Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if _, err := runner(t).Start(c, h); !errors.Is(err, childproc.ErrHoldEnded) {
		t.Error(err)
	}
}

// TestGroupIsKilledAfterTheGrace: a process that ignores SIGTERM is killed after the grace, or at
// the deadline if that is earlier, even if the command itself has ended before.
func TestGroupIsKilledAfterTheGrace(t *testing.T) {
	for name, tt := range map[string]struct {
		script        string
		grace, before time.Duration
		status        int
	}{
		"grace": {
			"trap '' TERM; " + ignoresTERM + "wait",
			300 * time.Millisecond, time.Hour, 128 + 9,
		},
		"deadline": {
			"trap '' TERM; " + ignoresTERM + "wait",
			time.Hour, 500 * time.Millisecond, 128 + 9,
		},
		"command obeys": {
			"trap 'exit 4' TERM; " + ignoresTERM + "while :; do sleep 0.01; done",
			300 * time.Millisecond, time.Hour, 4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := lasting(tt.before)
			p, pid := start(t, h, tt.grace, tt.script)
			h.lose()
			lost := time.Now()
			if res := p.Wait(); res.Status != tt.status || !res.Lost {
				t.Errorf("%+v", res)
			}
			if took := time.Since(lost); took > 5*time.Second {
				t.Errorf("ended %v after the loss", took)
			}
			goneBy(t, pid, time.Second)
		})
	}
}

// TestGroupHasEndedByTheDeadline: without a renewal, SIGTERM is sent a grace before the deadline,
// and the group has ended by the deadline.
func TestGroupHasEndedByTheDeadline(t *testing.T) {
	h := lasting(1500 * time.Millisecond)
	began := time.Now()
	p, pid := start(t, h, 700*time.Millisecond,
		"trap 'exit 4' TERM; "+ignoresTERM+"while :; do sleep 0.01; done")
	if res := p.Wait(); res.Status != 4 || !res.Lost {
		t.Errorf("%+v", res)
	}
	if took := time.Since(began); took < 800*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
	goneBy(t, pid, time.Until(h.until)+time.Second)
}

// TestBackgroundProcessesContinue: Wait returns when the command ends, and its background processes
// continue.
func TestBackgroundProcessesContinue(t *testing.T) {
	p, line := start(t, lasting(time.Hour), time.Second,
		`sleep 100 >/dev/null 2>&1 & echo $!; exit 5`)
	if res := p.Wait(); res.Status != 5 || res.Lost {
		t.Errorf("%+v", res)
	}
	pid, err := strconv.Atoi(line)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Error(err)
	}
}

// goneBy fails if a process runs for longer than d. A zombie does not count as running.
func goneBy(t *testing.T, line string, d time.Duration) {
	t.Helper()
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(d); syscall.Kill(pid, 0) == nil; {
		if stat, err := os.ReadFile("/proc/" + line + "/stat"); err == nil &&
			strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
		time.Sleep(time.Millisecond) // not this process's child
	}
}
