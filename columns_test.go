package holdfast_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// maxColumns is the length of the longest line of a Go file, and of a page without its tables and
// its blocks of code. A tab counts as one column.
const maxColumns = 100

func TestLinesAreNotTooLong(t *testing.T) {
	t.Parallel()
	bad, files, err := checkColumns(os.DirFS("."), ".")
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
	for _, b := range bad {
		t.Error(b)
	}
}

// TestLongLinesAreFound plants lines and looks which are found.
func TestLongLinesAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		strings.Repeat("x", maxColumns):                  0,
		strings.Repeat("ü", maxColumns):                  0,
		"\t" + strings.Repeat("x", maxColumns) + "\n":    1,
		strings.Repeat(strings.Repeat("x", 101)+"\n", 2): 2,
	} {
		for _, name := range []string{"a/b/c.go", "a/b/c.md"} {
			bad, files, err := checkColumns(fstest.MapFS{name: {Data: []byte(text)}}, "a")
			if err != nil || files != 1 || len(bad) != want {
				t.Errorf("%s: %q: %q in %d files, %v; want %d", name, text, bad, files, err, want)
			}
		}
	}
	long := strings.Repeat("x", 101) + "\n"
	page := "```\n" + long + "```\n| " + long + long
	bad, _, err := checkColumns(fstest.MapFS{"a.md": {Data: []byte(page)}}, ".")
	if err != nil || len(bad) != 1 {
		t.Errorf("%q, %v", bad, err)
	}
}

// checkColumns returns one line for each line of the Go files and pages below dir that is too long.
func checkColumns(tree fs.FS, dir string) (bad []string, files int, _ error) {
	err := fs.WalkDir(tree, dir, func(name string, d fs.DirEntry, err error) error {
		page := path.Ext(name) == ".md"
		if err != nil || d.IsDir() || path.Ext(name) != ".go" && !page {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		files++
		n, code := 0, false
		for line := range strings.Lines(string(text)) {
			n++
			fence := page && strings.HasPrefix(strings.TrimSpace(line), "```")
			code = code != fence
			if page && (code || strings.HasPrefix(line, "|")) {
				continue
			}
			if w := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); w > maxColumns {
				bad = append(bad, fmt.Sprintf("%s:%d: %d columns", name, n, w))
			}
		}
		return nil
	})
	return bad, files, err
}
