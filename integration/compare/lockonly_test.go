package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// mostBytes bounds the size of a program that only locks: it had 7,577,762 bytes with Go 1.26 on
// linux/amd64 when this was recorded, of which net/http and crypto/tls are most. 3 % are for
// repairs of the packages that it uses; more needs a reason.
const mostBytes = 7_800_000

// TestAProgramThatOnlyLocksLinksNothingElse: a program does not link the packages that it does not
// use, so that new ones do not make it grow.
func TestAProgramThatOnlyLocksLinksNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte(programs["holdfast"]), 0o600); err != nil {
		t.Fatal(err)
	}
	goRun := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	const module = "github.com/holdfast-go/holdfast/"
	allowed := map[string]bool{"gateway": true, "session": true, "mutex": true}
	found := 0
	for path := range strings.FieldsSeq(goRun("list", "-deps", file)) {
		name, ours := strings.CutPrefix(path, module)
		if !ours || strings.HasPrefix(name, "internal/") {
			continue
		}
		found++
		if !allowed[name] {
			t.Errorf("it links %s", name)
		}
	}
	if found != len(allowed) {
		t.Errorf("%d packages of the module", found)
	}
	goRun("build", "-trimpath", "-ldflags=-s -w", "-o", program, file)
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("figure: a program that only locks has %d bytes", info.Size())
	recorded := runtime.GOOS == "linux" && runtime.GOARCH == "amd64" &&
		strings.HasPrefix(runtime.Version(), "go1.26")
	if recorded && info.Size() > mostBytes {
		t.Errorf("it has %d bytes, more than %d", info.Size(), mostBytes)
	}
}
