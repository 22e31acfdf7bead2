package docs_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// terminal is a shell that runs the blocks of a page, one after the other.
type terminal struct {
	t       *testing.T
	dir     string // the folder in which the shell was started
	replace *strings.Replacer
	seen    *values

	cmd    *exec.Cmd
	in     io.WriteCloser
	blocks int
	done   chan string // the status of each block
	mu     sync.Mutex
	out    strings.Builder // since the end of the last block whose output was compared
}

// finished ends each block of a terminal.
const finished = "::finished with status "

// ignored matches the lines that the shell prints about its jobs, at a moment of its own choice,
// the ones that the go command prints about modules, and the ones about a slow etcd.
var ignored = regexp.MustCompile(
	`^\S+: line \d+: +\d+ (Killed|Terminated|Done|Stopped)|^\[\d+\]|^go: |^\tgo ` +
		`|^holdfast: etcd (has not answered|answers again)`)

// newTerminal starts a shell in an empty folder. The end of the test ends it with all processes
// that its blocks have started. The replacements are made in all blocks.
func newTerminal(t *testing.T, env []string, replacements ...string) *terminal {
	t.Helper()
	s := &terminal{
		t: t, dir: t.TempDir(), replace: strings.NewReplacer(replacements...), seen: newValues(),
		cmd: exec.Command("bash", "--norc", "--noprofile"), done: make(chan string, 1),
	}
	s.cmd.Dir = s.dir
	// The machine may be busy.
	s.cmd.Env = append(append(plainEnv(), "ETCDCTL_COMMAND_TIMEOUT=1m"), env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = write, write
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	var reading sync.WaitGroup
	reading.Go(func() { s.read(read) })
	t.Cleanup(func() {
		// The group exists as long as the shell was not waited for. SIGTERM makes holdfast end the
		// process groups of its commands. Output ends with the last process.
		kill := func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
		if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		late := time.AfterFunc(10*time.Second, kill)
		reading.Wait()
		late.Stop()
		kill()
		_ = s.cmd.Wait() // killed
		read.Close()
	})
	return s
}

// plainEnv returns the environment without variables that change the commands of a page.
func plainEnv() (env []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "ETCD"), strings.HasPrefix(name, "HOLDFAST"):
		case name == "GOFLAGS", name == "GOWORK", name == "PWD":
		default:
			env = append(env, v)
		}
	}
	return env
}

func (s *terminal) read(from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		line := lines.Text()
		status, end := strings.CutPrefix(line, finished)
		switch {
		case end:
			s.done <- status
		case !ignored.MatchString(line):
			s.mu.Lock()
			s.out.WriteString(line + "\n")
			s.mu.Unlock()
		}
	}
}

// run runs a block and waits for its end. It reports a status other than 0.
func (s *terminal) run(b block) {
	s.t.Helper()
	s.blocks++
	file := filepath.Join(s.t.TempDir(), "block.sh")
	if err := os.WriteFile(file, []byte(s.replace.Replace(b.text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	// The shell's own input has the next line of the test, which no command may read.
	_, _ = fmt.Fprintf(s.in, ". %s </dev/null; printf '%%s\\n' \"%s$?\"\n", file, finished)
	select {
	case status := <-s.done:
		if status != "0" {
			s.t.Fatalf("%s:%d: status %s\n%s\n%s", b.page, b.line, status, b.text, s.output())
		}
	case <-time.After(5 * time.Minute): // it may compile on a busy machine
		s.t.Fatalf("%s:%d: does not end\n%s\n%s", b.page, b.line, b.text, s.output())
	}
}

func (s *terminal) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// expect waits until the output since the last comparison is the one in the block. Processes in the
// background may print it after the block before has ended.
func (s *terminal) expect(b block) {
	s.t.Helper()
	ctx := recipetest.Within(s.t, recipetest.Patience)
	for {
		got := s.output()
		err := s.seen.match(b.text, got)
		if err == nil {
			s.mu.Lock()
			rest := strings.TrimPrefix(s.out.String(), got)
			s.out.Reset()
			s.out.WriteString(rest)
			s.mu.Unlock()
			return
		}
		if ctx.Err() != nil {
			s.t.Fatalf("%s:%d: %v\nthe page has\n%s\nthe commands printed\n%s", b.page, b.line, err,
				b.text, got)
		}
		recipetest.Pause(s.t, s.t.Context(), 10*time.Millisecond, "output")
	}
}

// errUnexpected is returned for output that no block of the page shows.
var errUnexpected = errors.New("output that the page does not show")

// quiet reports output that was not compared.
func (s *terminal) quiet(b block) {
	s.t.Helper()
	if out := s.output(); out != "" {
		s.t.Fatalf("%s:%d: %v:\n%s", b.page, b.line, errUnexpected, out)
	}
}
