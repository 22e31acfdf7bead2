package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
)

// quickstart is the program in the test binary, so that the race detector checks it, too.
var quickstart = reexec.Register("quickstart", func(struct{}) int {
	main()
	return 0
})

func TestMain(m *testing.M) {
	reexec.Main()
	os.Exit(m.Run())
}

func TestTheQuickstartRunsThroughItsStory(t *testing.T) {
	endpoint, stop, err := local.Etcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()

	t.Run("all", func(t *testing.T) {
		for _, tt := range []struct{ etcd, endpoints, moment string }{
			{"own", "", "the end"},
			{"running", endpoint, "the end"},
			{"own", "", "PAUSED"},
			{"own", "", "Three processes"},
			{"running", endpoint, "has a session"},
			{"running", endpoint, "writes 2"},
			{"running", endpoint, "KILLED"},
		} {
			t.Run(tt.etcd+" etcd, until "+tt.moment, func(t *testing.T) {
				t.Parallel()
				if tt.moment == "the end" {
					testStory(t, tt.endpoints)
				} else {
					testInterrupt(t, tt.endpoints, tt.moment)
				}
			})
		}
		t.Run("director killed", func(t *testing.T) {
			t.Parallel()
			testKill(t)
		})
	})

	client, err := gateway.New(gateway.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	keys, err := client.Get(t.Context(), "", gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range keys.KVs {
		t.Errorf("key left behind: %s", kv.Key)
	}
	leases, err := client.Leases(t.Context())
	if err != nil || len(leases) > 0 {
		t.Errorf("leases left behind: %v, %v", leases, err)
	}
}

func testStory(t *testing.T, endpoints string) {
	t.Helper()
	began := time.Now()
	q := start(t, endpoints)
	q.end(t, 0)
	t.Logf("%s", &q.seen)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	text := q.seen.String()
	want := regexp.MustCompile(`(?m)^15 increments done, 0 lost updates, ` +
		`[1-9]\d* stale writes refused\. The number in etcd is 15\.$`)
	if !want.MatchString(text) {
		t.Errorf("no line %s", want)
	}
	for _, want := range []string{
		"after alice unlocked", "was killed; fence", "was paused; fence", "session: lost",
		"the guard does not hold",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the timeline", want)
		}
	}
	pids := map[string]bool{}
	for _, m := range regexp.MustCompile(`: pid (\d+)`).FindAllStringSubmatch(text, -1) {
		pids[m[1]] = true
	}
	if len(pids) != 3 {
		t.Errorf("%d worker processes, want 3", len(pids))
	}
}

func testInterrupt(t *testing.T, endpoints, moment string) {
	t.Helper()
	q := start(t, endpoints)
	q.await(t, moment)
	began := time.Now()
	// A terminal also sends the signal to the whole process group.
	if err := syscall.Kill(-q.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	q.end(t, 130)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v to end", took)
	}
}

// testKill kills the director, which then cannot clean up. All workers must end, including the
// paused one.
func testKill(t *testing.T) {
	t.Helper()
	q := start(t, "")
	q.await(t, "PAUSED")
	if err := q.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	q.drain()
	_ = q.cmd.Wait() // returns when no process has its standard error open
}

type process struct {
	cmd    *exec.Cmd
	out    *bufio.Scanner
	seen   strings.Builder
	stderr bytes.Buffer
	tmp    string
}

func start(t *testing.T, endpoints string) *process {
	t.Helper()
	q := &process{cmd: quickstart.Command(t.Context(), struct{}{}), tmp: t.TempDir()}
	q.cmd.Env = append(q.cmd.Env, endpointsEnv+"="+endpoints, "TMPDIR="+q.tmp,
		"GORACE=atexit_sleep_ms=0") // without it, each process sleeps for a second before it ends
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	q.cmd.Stderr = &q.stderr
	stdout, err := q.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	q.out = bufio.NewScanner(stdout)
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return q
}

func (q *process) scan() bool {
	ok := q.out.Scan()
	q.seen.WriteString(q.out.Text() + "\n")
	return ok
}

func (q *process) await(t *testing.T, text string) {
	t.Helper()
	for q.scan() {
		if strings.Contains(q.out.Text(), text) {
			return
		}
	}
	_ = q.cmd.Wait()
	t.Fatalf("no %q in:\n%s%s", text, &q.seen, &q.stderr)
}

func (q *process) drain() {
	for q.scan() {
		continue
	}
}

// end waits until the quickstart and its workers, which share its standard error, have ended. It
// checks the exit status, the errors and the temporary files.
func (q *process) end(t *testing.T, code int) {
	t.Helper()
	q.drain()
	_ = q.cmd.Wait()
	if got := q.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit status %d, want %d:\n%s", got, code, &q.seen)
	}
	if said := q.stderr.String(); code == 0 && said != "" || strings.Count(said, "\n") > 1 {
		t.Errorf("it complained: %s", said)
	}
	left, err := os.ReadDir(q.tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left behind: %v, %v", left, err)
	}
}
