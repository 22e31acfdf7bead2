package holdfast_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// proseRules are patterns that the comments and documents of this repository do not have, because
// each was found to hide its subject. Text in quotes, backquotes or code blocks is not looked at.
var proseRules = []struct {
	name    string
	pattern *regexp.Regexp
}{
	{
		`"Returns ErrX when", not "it is ErrX if"`,
		regexp.MustCompile(`(?i)\b(it|this|that|error|wait) is( then)? (both )?\[[A-Za-z.]*Err`),
	},
	{"what without a noun", regexp.MustCompile(`(?i)\bwhat(ever)?\b`)},
	{
		"who without a noun",
		regexp.MustCompile(`(?i)\bwhoever\b|\b(those|these|one|ones|` +
			`anybody|everybody|somebody|nobody|others|all) who\b`),
	},
	{
		"who without a noun",
		regexp.MustCompile(`(?i)(^|[.,:;(] ` +
			`|\b(and|or|but|of|to|for|by|about|see|sees|say|says|know|knows|` +
			`show|shows|names|decide|decides|is) )who\b`),
	},
	{"that of, those of", regexp.MustCompile(`(?i)\b(that|those) of\b`)},
	{"tell, told", regexp.MustCompile(`(?i)\b(tells?|told|telling)\b`)},
	{"mend", regexp.MustCompile(`(?i)\b(mends?|mended|mending)\b`)},
}

// proseOpen lists folders whose prose is not in order yet. It only gets shorter.
var proseOpen = []string{"queue"}

func TestProse(t *testing.T) {
	t.Parallel()
	bad, err := checkProse(os.DirFS("."), proseOpen)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
}

// TestProseCanFail plants a sentence and looks whether it is found.
func TestProseCanFail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"Lock returns ErrLocked when the lock is held.":            0,
		"If the lock is held it is [ErrLocked].":                   1,
		"Close revokes what the session holds.":                    1,
		"The next waiter is the one who joined first.":             1,
		"A client who waits is woken.":                             0,
		"The fence is larger than that of the holder before.":      1,
		"The hook tells of the end.":                               1,
		"The error says `what` failed.":                            0,
		"The word \"what\" is quoted.":                             0,
		"Somewhat later the member follows those of the leader.":   1,
		"This broke, and was mended. It names who holds the lock.": 2,
	} {
		if got := proseFaults(text); len(got) != want {
			t.Errorf("%q: %q, want %d faults", text, got, want)
		}
	}
}

// checkProse looks at the comments of all Go files and at all documents, except those below the
// open folders.
func checkProse(tree fs.FS, open []string) (bad []string, _ error) {
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "bin" ||
				d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		for dir := name; ; dir = path.Dir(dir) {
			if slices.Contains(open, dir) && (dir != "." || path.Dir(name) == ".") {
				return nil
			}
			if dir == "." {
				break
			}
		}
		var blocks map[int]string
		switch filepath.Ext(name) {
		case ".go":
			blocks, err = goProse(tree, name)
		case ".md":
			blocks, err = markdownProse(tree, name)
		}
		if err != nil {
			return err
		}
		for line, text := range blocks {
			for _, fault := range proseFaults(text) {
				bad = append(bad, fmt.Sprintf("%s:%d: %s", name, line, fault))
			}
		}
		return nil
	})
	slices.Sort(bad)
	return bad, err
}

// goProse returns the comments of a file by their first line.
func goProse(tree fs.FS, name string) (map[int]string, error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src,
		parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	blocks := map[int]string{}
	for _, group := range file.Comments {
		var text strings.Builder
		for line := range strings.Lines(group.Text()) {
			if !strings.HasPrefix(line, "\t") { // code
				text.WriteString(line)
			}
		}
		blocks[files.Position(group.Pos()).Line] = text.String()
	}
	return blocks, nil
}

// markdownProse returns the lines of a document that are not code.
func markdownProse(tree fs.FS, name string) (map[int]string, error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	blocks := map[int]string{}
	first, n, code := 1, 0, false
	for line := range strings.Lines(string(src)) {
		n++
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
			continue
		}
		if strings.TrimSpace(line) == "" {
			first = n + 1
		}
		if !code {
			blocks[first] += line
		}
	}
	return blocks, nil
}

var (
	quoted = regexp.MustCompile("`[^`]*`|\"[^\"]*\"|“[^”]*”")
	spaces = regexp.MustCompile(`\s+`)
)

func proseFaults(text string) (faults []string) {
	text = spaces.ReplaceAllString(quoted.ReplaceAllString(text, "Q"), " ")
	for _, rule := range proseRules {
		for _, at := range rule.pattern.FindAllStringIndex(text, -1) {
			from, to := max(0, at[0]-20), min(len(text), at[1]+20)
			faults = append(faults, fmt.Sprintf("%s: %q", rule.name, text[from:to]))
		}
	}
	return faults
}
