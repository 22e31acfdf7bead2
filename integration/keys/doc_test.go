package keys_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// page is docs/keys.md.
type page struct {
	forms    map[string]string // a regular expression for each placeholder
	sections []*section
	rights   []string
}

// section is a heading with the tables and examples below it.
type section struct {
	title    string
	rows     []*row
	fields   map[string]bool // whether they were seen
	examples []string
}

// row is a line of a table of keys.
type row struct {
	key    string
	values map[string]bool // whether they were seen
	lease  string
}

// leases are the entries of the column "lease".
var leases = []string{"session", "window", "retention", "detached", "none"}

// span matches text between two backticks.
var span = regexp.MustCompile("`([^`]+)`")

func spans(cell string) (found []string) {
	for _, m := range span.FindAllStringSubmatch(cell, -1) {
		found = append(found, m[1])
	}
	return found
}

// readPage reads the tables and the examples of the page.
func readPage(t *testing.T, file string) *page {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{forms: map[string]string{}}
	in := &section{}
	table, code := "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
		case code:
			in.examples = append(in.examples, line)
		case strings.HasPrefix(line, "## "):
			in = &section{title: line[3:], fields: map[string]bool{}}
			p.sections = append(p.sections, in)
		case !strings.HasPrefix(line, "|"):
			table = ""
		case table == "":
			table = strings.TrimSpace(strings.Split(line, "|")[1])
		case strings.HasPrefix(line, "|--"):
		default:
			p.take(t, in, table, strings.Split(line, "|"))
		}
	}
	return p
}

// take reads a line of a table whose first column has the name table.
func (p *page) take(t *testing.T, in *section, table string, cells []string) {
	t.Helper()
	first := spans(cells[1])
	switch table {
	case "placeholder":
		p.forms[first[0]] = spans(cells[2])[0]
	case "key":
		r := &row{first[0], map[string]bool{}, strings.TrimSpace(cells[3])}
		for _, v := range spans(cells[2]) {
			r.values[v] = false
		}
		if strings.TrimSpace(cells[2]) == "empty" {
			r.values[""] = false
		}
		if len(cells) != 7 || len(r.values) == 0 || !slices.Contains(leases, r.lease) {
			t.Errorf("%s: cannot read the line of %s", in.title, first[0])
		}
		in.rows = append(in.rows, r)
	case "field":
		for _, f := range first {
			in.fields[f] = false
		}
	case "keys":
		p.rights = append(p.rights, first[0])
	}
}

// matches reports whether text matches the pattern. The placeholder <name> matches only names, or
// any name if names is nil.
func (p *page) matches(t *testing.T, pattern, text string, names []string) bool {
	t.Helper()
	var expr strings.Builder
	for pattern != "" {
		literal, rest, found := strings.Cut(pattern, "<")
		expr.WriteString(regexp.QuoteMeta(literal))
		if !found {
			break
		}
		var what string
		what, pattern, _ = strings.Cut(rest, ">")
		form, ok := p.forms["<"+what+">"]
		if !ok {
			t.Fatalf("the page does not tell the form of <%s>", what)
		}
		if what == "name" && names != nil {
			quoted := make([]string, len(names))
			for i, n := range names {
				quoted[i] = regexp.QuoteMeta(n)
			}
			form = strings.Join(quoted, "|")
		}
		expr.WriteString("(?:" + form + ")")
	}
	return compiled(t, `\A(?:`+expr.String()+`)\z`).MatchString(text)
}

// patterns are the patterns that were compiled before, because each is matched with thousands of
// keys.
var patterns sync.Map

func compiled(t *testing.T, pattern string) *regexp.Regexp {
	t.Helper()
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	patterns.Store(pattern, re)
	return re
}

// find returns the row that lists a key with its value, and the pattern of the value. An empty
// lease matches any.
func (p *page) find(
	t *testing.T, s *section, key, value, lease string, names []string,
) (*row, string) {
	t.Helper()
	for _, r := range s.rows {
		if !p.matches(t, r.key, key, names) || lease != "" && lease != r.lease {
			continue
		}
		for v := range r.values {
			if p.matches(t, v, value, nil) {
				return r, v
			}
		}
	}
	return nil, ""
}

// check returns an error if a field of a JSON value is not listed, and marks the others as seen.
func (s *section) check(value string) error {
	head, _, _ := strings.Cut(value, "\n")
	if number, list, ok := strings.Cut(head, " "); ok && strings.Trim(number, "0123456789") == "" {
		head = list
	}
	if head == "" || !strings.ContainsAny(head[:1], "{[") {
		return nil
	}
	var one map[string]any
	var many []map[string]any
	if json.Unmarshal([]byte(head), &one) == nil {
		many = append(many, one)
	} else if err := json.Unmarshal([]byte(head), &many); err != nil {
		return err
	}
	for _, fields := range many {
		for f := range fields {
			if _, ok := s.fields[f]; !ok {
				return fmt.Errorf("the field %q is not listed", f)
			}
			s.fields[f] = true
		}
	}
	return nil
}

// TestEachListedKeyHasAnExample: each example on the page shows a listed key, and each listed key
// has an example.
func TestEachListedKeyHasAnExample(t *testing.T) {
	t.Parallel()
	p := readPage(t, keysPage)
	count := 0
	for _, s := range p.sections {
		shown := map[*row]bool{}
		for _, e := range s.examples {
			key, value, ok := strings.Cut(e, " =")
			value = strings.ReplaceAll(strings.TrimPrefix(value, " "), `\n`, "\n")
			r, _ := p.find(t, s, key, value, "", nil)
			err := s.check(value)
			if !ok || r == nil || err != nil {
				t.Errorf("%s: the example is of no key that is listed: %s (%v)", s.title, e, err)
			}
			for _, lease := range leases {
				r, _ := p.find(t, s, key, value, lease, nil)
				shown[r] = true
			}
			count++
		}
		for _, r := range s.rows {
			if !shown[r] {
				t.Errorf("%s: no example of %s", s.title, r.key)
			}
		}
	}
	if count == 0 {
		t.Error("no examples")
	}
}

// TestAnUnlistedKeyIsReported: keys, values and fields that are not listed are reported.
func TestAnUnlistedKeyIsReported(t *testing.T) {
	t.Parallel()
	p := readPage(t, keysPage)
	names := []string{"a/b"}
	for _, tt := range []struct {
		section, key, value, lease string
		listed                     bool
	}{
		{"Locks", "a/b/1f", "", "session", true},
		{"Locks", "a/b/1f-2", "shared", "session", true},
		{"Locks", "a/b/1f", "cached", "session", true},
		{"Locks", "a/b/1f", "", "none", false},
		{"Locks", "a/b/1f", "other", "session", false},
		{"Locks", "a/b/1f-0", "", "session", false},
		{"Locks", "a/bc/1f", "", "session", false},
		{"Locks", "x/a/b/1f", "", "session", false},
		{"Queues", "a/b//q/9/0000000000000001", "{}\nany\nthing", "none", true},
		{"Queues", "a/b//q/9/0000000000000001", "{}", "none", false},
		{"Queues", "a/b//q/10/000000000000001", "{}\n", "none", false},
		{"Queues", "a/b//Q", "", "none", false},
	} {
		i := slices.IndexFunc(p.sections, func(s *section) bool { return s.title == tt.section })
		if i < 0 {
			t.Fatalf("no section %q", tt.section)
		}
		if r, _ := p.find(t, p.sections[i], tt.key, tt.value, cmp.Or(tt.lease, "none"),
			names); (r != nil) != tt.listed {
			t.Errorf("%+v: found %v", tt, r)
		}
	}
	if err := p.sections[0].check(`{"other":1}`); err == nil {
		t.Error("a field that is not listed was taken")
	}
}
