package cli_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// public copies programs to a folder in which every user may run them, with a mode each. It skips
// the test if one is missing.
func public(t *testing.T, modes map[string]os.FileMode) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-public-") //nolint:usetesting // t.TempDir is private
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // not private
		t.Fatal(err)
	}
	for path, mode := range modes {
		if path, err = exec.LookPath(path); err != nil {
			t.Skip(err)
		}
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(dir, filepath.Base(path)))
		if err == nil {
			_, err = io.Copy(out, in)
		}
		in.Close()
		out.Close()
		if err == nil {
			err = os.Chmod(out.Name(), mode) // the umask does not change it
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestACommandOfAnotherUserIsReported: a command that has changed its user to root cannot be killed
// by the user who started it. Before the deadline a line reports this, and the time from which
// another may have the lock. The status is the one of a loss.
func TestACommandOfAnotherUserIsReported(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can make a program that belongs to another user")
	}
	name := fresh(t)
	const nobody = "65534"
	dir := public(t, map[string]os.FileMode{program: 0o755, "setpriv": 0o755 | os.ModeSetuid})
	own := etcdtest.Start(t, recipetest.Server(etcdproc.Versions()[0]))
	asNobody := []string{
		"--reuid", nobody, "--regid", nobody, "--clear-groups",
		filepath.Join(dir, "holdfast"),
	}
	asRoot := []string{
		"--", filepath.Join(dir, "setpriv"), "--reuid", "0", "sh", "-c",
		"echo $$; exec sleep 1000",
	}
	lock := []string{
		"--endpoints", own.Endpoints()[0], "--command-timeout", "1", "lock", "--ttl",
		"6", "--grace", "2", name,
	}
	r := launch(t, "setpriv", nil, nil, slices.Concat(asNobody, lock, asRoot)...)
	child := r.line()
	t.Cleanup(func() { endProcess(t, child) })
	if status, err := os.ReadFile("/proc/" + child + "/status"); err != nil ||
		!strings.Contains(string(status), "Uid:\t0\t0\t0\t0\n") {
		t.Skipf("the command did not become root's: %s, %v", status, err)
	}
	member := own.Members()[0]
	if err := member.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = member.Resume() }) // an error means that it was not stopped
	said := regexp.MustCompile(`cannot end the command \(process group ` + child + `\).* at (\S+)`)
	var at []string
	eventually(t, "the warning", func() bool {
		at = said.FindStringSubmatch(r.stderr.String())
		return at != nil
	})
	heard := time.Now()
	deadline, err := time.ParseInLocation("2006-01-02 15:04:05.000",
		heard.Format("2006-01-02 ")+at[1], time.Local)
	if err != nil {
		t.Fatal(err)
	}
	if left := deadline.Sub(heard); left < -time.Hour { // the deadline is after midnight
		deadline = deadline.AddDate(0, 0, 1)
	}
	left := deadline.Sub(heard)
	if left < 500*time.Millisecond || left > 4*time.Second {
		t.Errorf("warned %v before the deadline", left)
	}
	recipetest.Figure(t,
		"warned %v before the deadline of a command that cannot be ended, "+
			"TTL 6s, grace 2s", left.Round(time.Millisecond))
	eventually(t, "the deadline", func() bool { return time.Now().After(deadline) })
	if err := member.Resume(); err != nil {
		t.Fatal(err)
	}
	hf(t, 0, "--endpoints", own.Endpoints()[0], "lock", "-w", "20", name, "--", "true")
	if r.ended() || !alive(t, child) {
		t.Error("holdfast does not wait for the command")
	}
	endProcess(t, child)
	r.want(75)
	if text := r.stderr.String(); strings.Count(text, "cannot end") != 1 ||
		!strings.Contains(text, "lost while the command ran") {
		t.Errorf("it said %q", text)
	}
}
