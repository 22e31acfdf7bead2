package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// running is a program that was started.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string // of the standard output; closed at its end
	stderr syncBuffer
	exited chan struct{}
	code   int // 128 + n after signal n; set before exited is closed
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// launch starts a program, which the end of the test kills.
func launch(t *testing.T, path string, env []string, stdin io.Reader, args ...string) *running {
	t.Helper()
	r := &running{
		t: t, cmd: exec.Command(path, args...), lines: make(chan string, 1000),
		exited: make(chan struct{}),
	}
	r.cmd.Env = append(append(plainEnv(),
		"ETCDCTL_ENDPOINTS="+strings.Join(cluster.Endpoints(), ",")), env...)
	r.cmd.Stdin = stdin
	r.cmd.Stderr = &r.stderr
	r.cmd.WaitDelay = time.Second // children of a killed program may still have its outputs
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout = write
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(r.lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			r.lines <- s.Text()
		}
	})
	go func() {
		defer close(r.exited)
		_ = r.cmd.Wait() // ProcessState has the result
		r.code = r.cmd.ProcessState.ExitCode()
		if ws := r.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
			r.code = 128 + int(ws.Signal())
		}
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // usually it has ended
		<-r.exited
		read.Close()
		for range r.lines {
		}
		reading.Wait()
	})
	return r
}

// plainEnv returns the environment without variables of holdfast or etcdctl.
func plainEnv() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ETCD") && !strings.HasPrefix(v, "HOLDFAST") {
			env = append(env, v)
		}
	}
	return env
}

// start starts holdfast.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return launch(t, program, nil, nil, args...)
}

// line returns the next line of the standard output.
func (r *running) line() string {
	r.t.Helper()
	select {
	case l, ok := <-r.lines:
		if !ok {
			r.t.Fatalf("%v: no more output: %s", r.cmd.Args, r.stderr.String())
		}
		return l
	case <-time.After(patience):
		r.t.Fatalf("%v: no output: %s", r.cmd.Args, r.stderr.String())
	}
	return ""
}

// wait waits until the program has ended, and returns its status.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case <-r.exited:
	case <-time.After(patience + 20*time.Second):
		r.t.Fatalf("%v does not end: %s", r.cmd.Args, r.stderr.String())
	}
	return r.code
}

// ended reports whether the program has ended.
func (r *running) ended() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Fatal(err)
	}
}

// want fails if the status is another.
func (r *running) want(code int) {
	r.t.Helper()
	if got := r.wait(); got != code {
		r.t.Errorf("%v: status %d, want %d: %s", r.cmd.Args, got, code, r.stderr.String())
	}
}

// rest returns the rest of the standard output, after the program has ended.
func (r *running) rest() string {
	r.wait()
	var all []string
	for l := range r.lines {
		all = append(all, l)
	}
	return strings.Join(all, "\n")
}

// hf runs holdfast to its end, expects the status, and returns the output.
func hf(t *testing.T, code int, args ...string) string {
	t.Helper()
	r := start(t, args...)
	r.want(code)
	return r.rest()
}

// complain is like hf, but expects one line on the standard error and returns it.
func complain(t *testing.T, code int, args ...string) string {
	t.Helper()
	r := start(t, args...)
	r.want(code)
	text := r.stderr.String()
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "holdfast: ") {
		t.Errorf("%v: %q is not one line of holdfast's", args, text)
	}
	return strings.TrimSpace(text)
}

// rows runs holdfast with --json and returns the objects that it prints.
func rows(t *testing.T, args ...string) (all []map[string]any) {
	t.Helper()
	for l := range strings.Lines(hf(t, 0, append(args, "--json")...)) {
		var one map[string]any
		if err := json.Unmarshal([]byte(l), &one); err != nil {
			t.Fatalf("%v: %q: %v", args, l, err)
		}
		all = append(all, one)
	}
	return all
}

// alive reports whether a process runs. A zombie does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(n, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// endProcess kills a process that a test left running.
func endProcess(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, syscall.SIGKILL)
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}

// awaitMembers waits until a line has n members.
func awaitMembers(t *testing.T, name string, n int) {
	t.Helper()
	c := newClient(t)
	eventually(t, strconv.Itoa(n)+" members of "+name, func() bool {
		return len(members(t, c, name)) == n
	})
}
