package holdfast_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// sectionFolder matches the line with the folder of the tests that a section names without one.
	sectionFolder = regexp.MustCompile("Tests on etcd: `(integration/[a-z]+)`\\.")
	// namedTest matches "TestX/Y", "folder/TestX/Y" for a test on etcd, and "package.TestX/Y" for a
	// unit test.
	namedTest = regexp.MustCompile("`(?:([a-z]+)([./]))?((?:Test|Fuzz)[A-Z]\\w+)(?:/([^`]+))?`")
)

// TestNamedTestsExist: every test that a page names exists.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	sources := map[string]string{} // by folder
	for page, least := range map[string]int{"docs/guarantees.md": 180, "docs/testing.md": 80} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for section := range strings.SplitSeq(string(text), "\n## ") {
			section = strings.ReplaceAll(section, "\n", " ")
			folder := ""
			if m := sectionFolder.FindStringSubmatch(section); m != nil {
				folder = m[1]
			}
			for _, m := range namedTest.FindAllStringSubmatch(section, -1) {
				if m[3] == "TestX" {
					continue
				}
				count++
				dir := folderOf(m[1], m[2], folder)
				if _, ok := sources[dir]; !ok {
					sources[dir] = testSource(t, dir)
				}
				if !strings.Contains(sources[dir], "\nfunc "+m[3]+"(") {
					t.Errorf("%s: %s: no %s in %q", page, m[0], m[3], dir)
				}
				if sub := strings.Join(strings.Fields(m[4]), " "); sub != "" &&
					!strings.Contains(sources[dir], `"`+sub+`"`) {
					t.Errorf("%s: %s: no sub-test %q in %q", page, m[0], sub, dir)
				}
			}
		}
		if count < least {
			t.Errorf("%s: only %d tests found", page, count)
		}
	}
}

// folderOf returns the folder of a test by its prefix and the separator after it. Without a prefix
// it is the section's.
func folderOf(prefix, separator, section string) string {
	switch {
	case separator == "/":
		return "integration/" + prefix
	case prefix == "line", prefix == "explain":
		return "internal/" + prefix
	case prefix != "":
		return prefix
	default:
		return section
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
