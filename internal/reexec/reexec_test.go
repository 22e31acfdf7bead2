package reexec_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main()
	goleak.VerifyTestMain(m)
}

type greeting struct {
	Words  []string
	Status int
}

var greeter = reexec.Register("greeter", func(g greeting) int {
	_, _ = fmt.Fprint(os.Stdout, strings.Join(g.Words, " "))
	return g.Status
})

func TestAChildGetsItsArgumentsAndItsStatusIsReturned(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 3} {
		cmd := greeter.Command(t.Context(), greeting{[]string{"good", "morning\n"}, status})
		out, _ := cmd.Output() // the status is checked below
		if string(out) != "good morning\n" || cmd.ProcessState.ExitCode() != status {
			t.Errorf("status %d, not %d: %q", cmd.ProcessState.ExitCode(), status, out)
		}
	}
}

func TestARepeatedTestRunsUnderTheTestFramework(t *testing.T) {
	t.Parallel()
	cmd := reexec.Repeat(t, "-test.v")
	if cmd == nil {
		t.Fatal("in the child")
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in the child") ||
		strings.Count(string(out), "=== RUN") != 1 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestANameIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a second function has the name greeter")
		}
	}()
	reexec.Register("greeter", func(int) int { return 0 })
}
