package holdfast_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	workUse     = regexp.MustCompile(`(?m)^\t\./(\S+)$`)
	directories = regexp.MustCompile(`directories: \[(.*)\]`)
	tagLoop     = regexp.MustCompile(`for m in ([^;]+); do`)
	ownRequire  = regexp.MustCompile(`(?m)^(?:require)?\s+` + module + `/(\S+) v`)
)

// workModules returns the folders of the modules of go.work, but for the library.
func workModules(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range workUse.FindAllStringSubmatch(readText(t, "go.work"), -1) {
		names = append(names, m[1])
	}
	if len(names) < 10 {
		t.Fatalf("go.work has only %q", names)
	}
	return names
}

// expand replaces patterns of folders by the modules that they match.
func expand(t *testing.T, words []string) (names []string) {
	t.Helper()
	for _, word := range words {
		found, err := filepath.Glob(strings.TrimPrefix(word, "/") + "/go.mod")
		if err != nil || len(found) == 0 {
			t.Errorf("%s is no module: %v", word, err)
		}
		for _, f := range found {
			names = append(names, filepath.ToSlash(filepath.Dir(f)))
		}
	}
	return names
}

// TestDependabotUpdatesAllModules compares its folders with go.work and with the tools.
func TestDependabotUpdatesAllModules(t *testing.T) {
	t.Parallel()
	var named []string
	for _, m := range directories.FindAllStringSubmatch(readText(t, ".github/dependabot.yml"), -1) {
		for word := range strings.SplitSeq(m[1], ", ") {
			if word = strings.Trim(word, `"`); word != "/" {
				named = append(named, word)
			}
		}
	}
	want := append(workModules(t), "tools", "tools/dist")
	want = append(want, expand(t, []string{"integration/etcd/*"})...)
	compareNames(t, "dependabot.yml", expand(t, named), want)
}

// TestReleaseTagsAllModules compares the tags of docs/release.md with go.work, and their order with
// the modules that each requires.
func TestReleaseTagsAllModules(t *testing.T) {
	t.Parallel()
	loop := tagLoop.FindStringSubmatch(readText(t, "docs/release.md"))
	if loop == nil {
		t.Fatal("docs/release.md has no loop of tags")
	}
	tagged := expand(t, strings.Fields(loop[1]))
	want := slices.DeleteFunc(workModules(t), func(name string) bool {
		return strings.HasPrefix(name, "integration")
	})
	compareNames(t, "docs/release.md", tagged, want)
	for i, name := range tagged {
		for _, m := range ownRequire.FindAllStringSubmatch(readText(t, name+"/go.mod"), -1) {
			if !slices.Contains(tagged[:i], m[1]) {
				t.Errorf("docs/release.md: %s requires %s, which has no tag before", name, m[1])
			}
		}
	}
}

// TestMakeChecksAllModules compares the modules of the Makefile with go.work.
func TestMakeChecksAllModules(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	cmd := exec.CommandContext(t.Context(), "make", "-s", "--no-print-directory",
		"--eval", "print-modules:;@echo $(MODULES)", "print-modules")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	compareNames(t, "Makefile", strings.Fields(string(out)), append(workModules(t), "."))
}

// compareNames compares two lists without their order.
func compareNames(t *testing.T, where string, got, want []string) {
	t.Helper()
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s: %s is missing", where, name)
		}
	}
	for i, name := range got {
		if !slices.Contains(want, name) || slices.Contains(got[:i], name) {
			t.Errorf("%s: %s is there twice, or is no module of go.work", where, name)
		}
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
