package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the folder of the repository.
const root = "../.."

// pages returns the Markdown files of the root, of docs, of examples and of deploy.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{
		"*.md", "docs/*.md", "docs/howto/*.md", "examples/*.md", "deploy/*/*.md",
	} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if len(all) < 10 {
		t.Fatalf("only %q", all)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a code block of a page.
type block struct {
	page string
	line int    // the first line
	lang string // after the fence; empty if the block is indented instead
	text string
	next string // the paragraph after it

	before string // the paragraph before it
}

// blocks returns the fenced and the indented blocks of a page.
func blocks(t *testing.T, page string) (found []block) {
	t.Helper()
	fenced, open := false, false // open: an indented block may begin or continue
	var b block
	lines := strings.Split(read(t, page), "\n")
	for i, line := range lines {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !fenced:
			fenced = true
			b = block{page: page, line: i + 2, lang: lang, before: lastParagraph(lines[:i])}
			if lang == "" {
				t.Errorf("%s:%d: a fence without a language", page, i+1)
			}
		case fence:
			b.next = paragraph(lines[i+1:])
			fenced, found = false, append(found, b)
		case fenced:
			b.text += line + "\n"
		case strings.HasPrefix(line, "    ") && open:
			found = append(found,
				block{page: page, line: i + 1, text: strings.TrimSpace(line) + "\n"})
		default:
			open = line == ""
		}
	}
	if fenced {
		t.Errorf("%s: the fence of line %d is not closed", page, b.line-1)
	}
	return found
}

func paragraph(lines []string) string {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	text := strings.Join(lines, "\n")
	text, _, _ = strings.Cut(text, "\n\n")
	return text
}

// lastParagraph returns the paragraph at the end of the lines.
func lastParagraph(lines []string) string {
	text := strings.TrimSpace(strings.Join(lines, "\n"))
	return text[strings.LastIndex(text, "\n\n")+1:]
}
