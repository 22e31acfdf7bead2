package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	continued = regexp.MustCompile(`\\\n\s*`)
	// inUnit and inPipeline match a command with holdfast in a unit of systemd, and in a pipeline.
	inUnit     = regexp.MustCompile(`(?m)^ExecStart=(\S*/holdfast .*)$`)
	inPipeline = regexp.MustCompile(`(?m)^ *(?:- )?run: (holdfast .*)$`)
)

// TestTheCommandsOfUnitsAndPipelinesExist: holdfast knows the verbs and flags that the units in
// deploy/systemd and the pipelines on the pages use.
func TestTheCommandsOfUnitsAndPipelinesExist(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "holdfast")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", root+"/cmd/holdfast", "-o",
		program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	known := func(line string) error {
		args, _, _ := strings.Cut(line, " -- ")
		words := strings.Fields(args)[1:]
		return exec.CommandContext(t.Context(), program, append(words, "--help")...).Run()
	}
	if known("holdfast lock a --no-such-flag -- x") == nil {
		t.Error("an unknown flag is no error")
	}
	used := map[string]int{}
	for _, unit := range units(t) {
		text := continued.ReplaceAllString(read(t, unit), " ")
		for _, m := range inUnit.FindAllStringSubmatch(text, -1) {
			used["units"]++
			if err := known(m[1]); err != nil {
				t.Errorf("%s: %s: %v", unit, m[1], err)
			}
		}
	}
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			for _, m := range inPipeline.FindAllStringSubmatch(b.text, -1) {
				used["pipelines"]++
				if err := known(m[1]); err != nil {
					t.Errorf("%s:%d: %s: %v", page, b.line, m[1], err)
				}
			}
		}
	}
	if used["units"] < 2 || used["pipelines"] < 1 {
		t.Errorf("only %v commands", used)
	}
}

// units returns the files in deploy/systemd.
func units(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "deploy", "systemd", "*.service"))
	if err != nil || len(found) < 2 {
		t.Fatalf("%q, %v", found, err)
	}
	return found
}

// TestTheUnitsAreValid: systemd reads the units without a warning.
func TestTheUnitsAreValid(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze")
	}
	verify := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		// The programs need not be installed.
		text = regexp.MustCompile(`/usr/local/bin/\w+`).ReplaceAllString(text, "/bin/sh")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file)
		cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return err.Error() + "\n" + string(out)
		}
		return string(out)
	}
	if verify("bad.service", "[Service]\nExecStart=/bin/sh\nKillModus=mixed\n") == "" {
		t.Skip("this systemd-analyze accepts an unknown setting")
	}
	for _, unit := range units(t) {
		if out := verify(filepath.Base(unit), read(t, unit)); out != "" {
			t.Errorf("%s: %s", unit, out)
		}
	}
}
