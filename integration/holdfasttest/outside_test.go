package holdfasttest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// tests is the number of tests in the program's file.
const tests = 3

var (
	passed = regexp.MustCompile(`(?m)^--- PASS: `)
	took   = regexp.MustCompile(`(?m)^ok\s+\S+\s+([0-9.]+s)$`)
)

// TestAProgramOutsideTestsItself runs a program and its tests in a module of their own, which can
// import public packages only: the program loses its lock, an answer, and etcd for ten minutes.
// That takes less than a second. It takes the shortest of three runs, because other programs may
// run during one.
func TestAProgramOutsideTestsItself(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for to, from := range map[string]string{
		"job_test.go": "holdfasttest/job_test.go", "go.sum": "go.sum",
	} {
		text, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mod := "module example.com/job\n\ngo 1.26.0\n\n" +
		"require github.com/holdfast-go/holdfast v0.1.0\n\n" +
		"replace github.com/holdfast-go/holdfast => " + root + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	least := time.Hour
	for range 3 {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-timeout=1m", ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
		out, err := cmd.CombinedOutput()
		if n := len(passed.FindAll(out, -1)); err != nil || n != tests {
			t.Fatalf("%d of %d tests passed: %v\n%s", n, tests, err, out)
		}
		d, err := time.ParseDuration(string(took.FindSubmatch(out)[1]))
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, d)
	}
	t.Logf("figure: the tests of the program took %v", least)
	if least > time.Second {
		t.Errorf("the tests took %v", least)
	}
}
