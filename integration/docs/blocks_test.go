package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// languages are the languages of blocks besides Go. "text" is output of etcd or of a program.
var languages = map[string]bool{
	"go": true, "sh": true, "sql": true, "text": true, "mermaid": true,
	"python": true, "yaml": true, "ini": true, "": true,
}

// TestGoBlocksCompile compiles every Go block of the documents.
func TestGoBlocksCompile(t *testing.T) {
	var units []unit
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if !languages[b.lang] {
				t.Errorf("%s:%d: %q is no language that is looked after", page, b.line, b.lang)
			}
			if b.lang != "go" || filepath.Base(page) == "tutorial.md" { // which is run
				continue
			}
			u := unit{
				where: fmt.Sprintf("%s:%d", page, b.line), code: b.text,
				around: "holdfast.go",
			}
			if strings.Contains(b.text, "containers.") {
				u.module, u.around = "containers", "containers.go"
			}
			units = append(units, u)
		}
	}
	if len(units) < 5 {
		t.Errorf("only %d blocks", len(units))
	}
	compile(t, units)
}

// source matches the line that names the file of the block before it.
var source = regexp.MustCompile(`^\(From \[[^\]]*\]\(([^)]+)\)`)

// TestAQuotedBlockIsInItsFile: every line of a block that is quoted from a file is in that file.
func TestAQuotedBlockIsInItsFile(t *testing.T) {
	quoted := 0
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			m := source.FindStringSubmatch(b.next)
			if m == nil {
				continue
			}
			quoted++
			file := filepath.Join(filepath.Dir(page), m[1])
			if !strings.Contains(read(t, file), b.text) {
				t.Errorf("%s:%d: not in %s as it is here", page, b.line, file)
			}
		}
	}
	if quoted == 0 {
		t.Error("no block says where it comes from")
	}
}

var (
	target   = regexp.MustCompile(`(?m)^([a-z-]+):`)
	makes    = regexp.MustCompile("(?m)(?:^ *|`|&& )(?:[A-Z_]+=\\S+ )*make ([a-z-]+)")
	programs = regexp.MustCompile(`go (?:run|test) -C (\S+)((?: -\S+)*) (\./[\w./-]+)`)
	link     = regexp.MustCompile(`\]\(([^)#:]+)(?:#([^)]*))?\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	// unlinked matches the characters that the anchor of a heading leaves out.
	unlinked = regexp.MustCompile(`[^a-z0-9 -]`)
)

// TestNamedCommandsExist: the targets of make and the folders of programs that the documents name
// exist.
func TestNamedCommandsExist(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1) {
		targets[m[1]] = true
	}
	named := 0
	for _, page := range pages(t) {
		text := read(t, page)
		for _, m := range makes.FindAllStringSubmatch(text, -1) {
			named++
			if !targets[m[1]] {
				t.Errorf("%s: the Makefile has no target %q", page, m[1])
			}
		}
		for _, m := range programs.FindAllStringSubmatch(text, -1) {
			named++
			dir := filepath.Join(root, m[1], strings.TrimRight(m[3], "."))
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				t.Errorf("%s: %s: no such folder", page, m[0])
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d commands", named)
	}
}

// TestLinkedFilesAndHeadingsExist: the files and headings that the documents link to exist.
func TestLinkedFilesAndHeadingsExist(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			links++
			file := filepath.Join(filepath.Dir(page), m[1])
			if _, err := os.Stat(file); err != nil || m[2] != "" && !anchors(read(t, file))[m[2]] {
				t.Errorf("%s: the link to %s#%s leads nowhere", page, m[1], m[2])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links", links)
	}
}

// anchors returns the anchors of the headings of a page.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		found[strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(m[1]), ""), " ",
			"-")] = true
	}
	return found
}
