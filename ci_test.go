package holdfast_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	makeTarget = regexp.MustCompile(`(?m)^([a-z-]+):`)
	comment    = regexp.MustCompile(`(?m)^\s*#.*$`)
	makeCall   = regexp.MustCompile(`\bmake ((?:[A-Z_]+=\S+ )*)([a-z][a-z-]*)`)
	goFolder   = regexp.MustCompile(`\bgo (?:test|vet|build|run) -C (\S+)`)
	script     = regexp.MustCompile(`(?m)^\s*- run: (\.\S+)`)
)

// TestWorkflowsRunRealCommands: the workflows and .ci/run name targets of the Makefile, folders of
// modules, and programs that exist.
func TestWorkflowsRunRealCommands(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(".github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	commands := 0
	for _, name := range append(files, ".ci/run") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n, bad := checkCommands(t, string(text))
		commands += n
		for _, b := range bad {
			t.Errorf("%s: %s", name, b)
		}
	}
	if commands < 4 {
		t.Errorf("only %d commands", commands)
	}
}

// TestWorkflowsCanFail plants commands that do not exist.
func TestWorkflowsCanFail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"      - run: make unit":                     0,
		"stage linter make bin/golangci-lint":        0,
		"      - run: make RACE=-race units":         1,
		"      - run: go test -C cmd/holdfast ./...": 0,
		"      - run: go test -C cmd/holdslow ./...": 1,
		"      - run: .ci/run":                       0,
		"      - run: .ci/runs":                      1,
		"# make runs\n      - run: .ci/run":          0,
	} {
		if n, bad := checkCommands(t, text); n != 1 || len(bad) != want {
			t.Errorf("%q: %d commands, %q", text, n, bad)
		}
	}
}

// checkCommands returns the number of commands that it knows in a text, and a line for each one
// that would not run.
func checkCommands(t *testing.T, text string) (n int, bad []string) {
	t.Helper()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{"bin": true} // the folder of the linter
	for _, m := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	text = comment.ReplaceAllString(text, "")
	for _, m := range makeCall.FindAllStringSubmatch(text, -1) {
		n++
		if !targets[m[2]] {
			bad = append(bad, "the Makefile has no target "+m[2])
		}
	}
	for _, m := range goFolder.FindAllStringSubmatch(text, -1) {
		n++
		if _, err := os.Stat(filepath.Join(m[1], "go.mod")); err != nil {
			bad = append(bad, m[1]+" is no module")
		}
	}
	for _, m := range script.FindAllStringSubmatch(text, -1) {
		n++
		if _, err := os.Stat(m[1]); err != nil {
			bad = append(bad, "there is no "+m[1])
		}
	}
	return n, bad
}
