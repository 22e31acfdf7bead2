package holdfast_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// packagesLine matches the line with the packages of the tests of a section of
	// docs/guarantees.md.
	packagesLine = regexp.MustCompile("^Tests: `(integration/[a-z]+)`; unit: `([a-z]+)`\\.$")
	// namedTest matches "TestX/Y". It begins with "unit" and a package if the test is not in one of
	// the section's packages.
	namedTest = regexp.MustCompile("`(unit )?(?:([a-z]+): )?((?:Test|Fuzz)[A-Z]\\w+)(?:/([^`]+))?`")
)

// TestGuaranteesNameTests: every test that docs/guarantees.md names exists.
func TestGuaranteesNameTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{} // by folder
	real, unit := "", ""
	count := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "## ") {
			real, unit = "", ""
		}
		if m := packagesLine.FindStringSubmatch(line); m != nil {
			real, unit = m[1], m[2]
		}
		for _, m := range namedTest.FindAllStringSubmatch(line, -1) {
			dir, other, name, sub := real, m[2], m[3], m[4]
			switch {
			case name == "TestX":
				continue
			case m[1] != "" && other == "line":
				dir = "internal/line"
			case m[1] != "" && other != "":
				dir = other
			case m[1] != "":
				dir = unit
			case other != "":
				dir = "integration/" + other
			}
			count++
			if _, ok := sources[dir]; !ok {
				sources[dir] = testSource(t, dir)
			}
			if !strings.Contains(sources[dir], "\nfunc "+name+"(") {
				t.Errorf("%s: no %s in %q", m[0], name, dir)
			}
			if sub != "" && !strings.Contains(sources[dir], `"`+sub+`"`) {
				t.Errorf("%s: no sub-test %q in %q", m[0], sub, dir)
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d tests found", count)
	}
}

// dirTest is a directory and a test in it.
var dirTest = regexp.MustCompile("`([a-z]+(?:/[a-z]+)?): ((?:Test|Fuzz)[A-Z]\\w+)`")

// TestTestingNamesTests: every test that docs/testing.md names exists.
func TestTestingNamesTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	all := dirTest.FindAllStringSubmatch(string(text), -1)
	for _, m := range all {
		dir := m[1]
		if dir == "line" {
			dir = "internal/line"
		}
		if !strings.Contains(testSource(t, dir), "\nfunc "+m[2]+"(") {
			t.Errorf("%s: no such test", m[0])
		}
	}
	if len(all) < 80 {
		t.Errorf("only %d tests found", len(all))
	}
}

// testSource returns the text of all tests of a package.
func testSource(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	if dir == "session" { // its tests are where its code is
		inside, err := filepath.Glob("internal/core/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, inside...)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
