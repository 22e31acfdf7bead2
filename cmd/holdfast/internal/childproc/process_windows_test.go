package childproc_test

import (
	"os"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
)

func startWindows(t *testing.T, h hold, grace time.Duration, args ...string) *childproc.Process {
	t.Helper()
	p, err := runner(t).Start(childproc.Command{
		Args: args, Env: os.Environ(), Stdin: null(t), Stdout: os.Stderr, Stderr: os.Stderr,
		Grace: grace,
	}, h)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStatusIsTheCommands(t *testing.T) {
	p := startWindows(t, lasting(time.Hour), time.Second, "cmd", "/c", "exit 3")
	if res := p.Wait(); res.Status != 3 || res.Lost {
		t.Errorf("%+v", res)
	}
}

// TestLossEndsTheProcessesOfACommand: ping, which cmd starts, would run for a minute, and Wait
// returns when the job is empty.
func TestLossEndsTheProcessesOfACommand(t *testing.T) {
	h := lasting(time.Hour)
	p := startWindows(t, h, 100*time.Millisecond, "cmd", "/c", "ping -n 60 127.0.0.1 & exit 0")
	h.lose()
	began := time.Now()
	if res := p.Wait(); !res.Lost || time.Since(began) > 30*time.Second {
		t.Errorf("%+v after %v", res, time.Since(began))
	}
}
