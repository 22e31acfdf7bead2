package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// opening is the beginning of the first sentence of each page, by the section of docs/README.md
// that lists the page.
var opening = map[string]string{
	"Tutorial": "Learn here", "How-to": "Do here", "Reference": "Look up here",
	"Explanation": "Understand here",
}

// TestTheIndexListsEachPageByItsPurpose: docs/README.md lists each page of docs once, in the
// section of the purpose that the first sentence of the page names.
func TestTheIndexListsEachPageByItsPurpose(t *testing.T) {
	t.Parallel()
	docs := filepath.Join(root, "docs")
	listed := map[string]string{} // the section of each page
	for i, part := range strings.Split(read(t, filepath.Join(docs, "README.md")), "\n## ") {
		section, text, _ := strings.Cut(part, "\n")
		if i > 0 && opening[section] == "" {
			t.Errorf("%q is no kind of page", section)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if file := filepath.Join(docs, m[1]); listed[file] != "" {
				t.Errorf("%s is listed twice", file)
			} else {
				listed[file] = section
			}
		}
	}
	checked := 0
	for _, page := range pages(t) {
		rel, err := filepath.Rel(docs, page)
		if err != nil || strings.HasPrefix(rel, "..") || rel == "README.md" {
			continue
		}
		checked++
		_, text, _ := strings.Cut(read(t, page), "\n\n")
		switch section := listed[page]; {
		case section == "":
			t.Errorf("%s is not listed", page)
		case !strings.HasPrefix(text, opening[section]):
			t.Errorf("%s: the first sentence does not begin with %q", page, opening[section])
		}
	}
	if checked < 20 {
		t.Errorf("only %d pages", checked)
	}
}

// TestAHowToPageIsShort, and has the sections that a reader in trouble looks for.
func TestAHowToPageIsShort(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(filepath.Join(root, "docs", "howto", "*.md"))
	if err != nil || len(found) < 8 {
		t.Fatalf("%q, %v", found, err)
	}
	for _, page := range found {
		text := read(t, page)
		if n := strings.Count(text, "\n"); n > 120 {
			t.Errorf("%s has %d lines", page, n)
		}
		for _, section := range []string{"\n## Possible problems\n", "\n## Reference\n"} {
			if !strings.Contains(text, section) {
				t.Errorf("%s has no section %q", page, strings.TrimSpace(section))
			}
		}
	}
}

var comment = regexp.MustCompile(`\s*#.*`)

// TestTheReadmeStartsAtOnce: two commands run a lock, one installs the command, and the first
// program is short.
func TestTheReadmeStartsAtOnce(t *testing.T) {
	t.Parallel()
	var commands []int // in each block of the shell
	program := 0       // lines of the first one in Go
	for _, b := range blocks(t, filepath.Join(root, "README.md")) {
		text := strings.TrimSpace(b.text)
		switch {
		case b.lang == "sh":
			commands = append(commands, strings.Count(comment.ReplaceAllString(text, ""), "\n")+1)
		case b.lang == "go" && program == 0:
			program = strings.Count(text, "\n") + 1
		}
	}
	if len(commands) < 2 || commands[0] > 2 || commands[1] > 1 {
		t.Errorf("commands in the blocks: %v", commands)
	}
	if program == 0 || program >= 15 {
		t.Errorf("the first program has %d lines", program)
	}
}
