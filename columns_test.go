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

// maxColumns is the length of the longest line of a Go file. A tab counts as one column.
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
		bad, files, err := checkColumns(fstest.MapFS{"a/b/c.go": {Data: []byte(text)}}, "a")
		if err != nil || files != 1 || len(bad) != want {
			t.Errorf("%q: %q in %d files, %v; want %d", text, bad, files, err, want)
		}
	}
}

// checkColumns returns one line for each line of the Go files below dir that is too long.
func checkColumns(tree fs.FS, dir string) (bad []string, files int, _ error) {
	err := fs.WalkDir(tree, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		files++
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if w := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); w > maxColumns {
				bad = append(bad, fmt.Sprintf("%s:%d: %d columns", name, n, w))
			}
		}
		return nil
	})
	return bad, files, err
}
