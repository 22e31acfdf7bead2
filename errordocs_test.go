package holdfast_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// errorDocs are the packages whose exported functions name their errors. The package doc comment
// has the errors of all calls and the rules of concurrent use, so that a function adds only its
// own.
var errorDocs = []string{
	"gateway", "session", "mutex", "election", "semaphore", "barrier", "cache", "member", "shard",
	"limit",
}

// namesError matches a doc comment that names an error, or refers to another function for it.
var namesError = regexp.MustCompile(`\bErr[A-Z]|\b[Ee]rrors?\b|\b(see|as for)\s+\[\w`)

func TestFunctionsNameTheirErrors(t *testing.T) {
	t.Parallel()
	for _, dir := range errorDocs {
		bad, calls, err := checkErrorDocs(os.DirFS("."), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bad {
			t.Error(b)
		}
		if calls < 3 {
			t.Errorf("%s: only %d functions with a context", dir, calls)
		}
	}
}

// TestNamelessErrorsAreFound plants functions and looks which are found.
func TestNamelessErrorsAreFound(t *testing.T) {
	t.Parallel()
	const ctx = "(ctx context.Context) "
	for _, tt := range []struct {
		name, doc, decl string
		bad             bool
	}{
		{"nothing", "F does it.", "func F" + ctx + "error", true},
		{"a sentinel", "F does it. Returns [ErrX] when it cannot.", "func F" + ctx + "error", false},
		{"another function", "F does it, see [G].", "func F" + ctx + "error", false},
		{"in a sequence", "F does it.", "func F" + ctx + "iter.Seq2[int, error]", true},
		{"no error", "F does it.", "func F" + ctx + "int", false},
		{"no context", "F does it.", "func F() error", false},
		{"unexported", "f does it.", "func f" + ctx + "error", false},
		{"a method", "F does it.", "func (*T) F" + ctx + "error", true},
		{"of an unexported type", "F does it.", "func (*t) F" + ctx + "error", false},
		{"of a generic type", "F does it.", "func (T[A]) F" + ctx + "error", true},
		{"of an interface", "I is it.", "type I interface { F" + ctx + "error }", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := ""
			if strings.HasPrefix(tt.decl, "func") {
				body = " { panic(0) }"
			}
			tree := fstest.MapFS{
				"p/doc.go": {Data: []byte("// # Concurrency\n//\n// # Errors\npackage p\n")},
				"p/p.go":   {Data: []byte("package p\n\n// " + tt.doc + "\n" + tt.decl + body + "\n")},
			}
			bad, _, err := checkErrorDocs(tree, "p")
			if err != nil {
				t.Fatal(err)
			}
			if (len(bad) > 0) != tt.bad {
				t.Errorf("found %q, want some: %v", bad, tt.bad)
			}
		})
	}
	tree := fstest.MapFS{"p/doc.go": {Data: []byte("// # Errors\npackage p\n")}}
	if bad, _, err := checkErrorDocs(tree, "p"); err != nil || len(bad) != 1 {
		t.Errorf("no section about concurrent use: %q, %v", bad, err)
	}
}

// checkErrorDocs returns one line for each exported function of a package that takes a context,
// returns an error, and names none. It also checks the sections of the package's doc comment.
func checkErrorDocs(tree fs.FS, dir string) (bad []string, calls int, err error) {
	names, err := fs.Glob(tree, path.Join(dir, "*.go"))
	if err != nil {
		return nil, 0, err
	}
	var about strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, 0, err
		}
		file, err := parser.ParseFile(
			token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, 0, err
		}
		about.WriteString(file.Doc.Text())
		for call, doc := range callsOf(file) {
			calls++
			if !namesError.MatchString(doc) {
				bad = append(bad, fmt.Sprintf("%s: the doc comment of %s names no error", name, call))
			}
		}
	}
	for _, section := range []string{"# Concurrency\n", "# Errors\n"} {
		if !strings.Contains(about.String(), section) {
			bad = append(bad, fmt.Sprintf("%s: no section %q", dir, strings.TrimSpace(section)))
		}
	}
	slices.Sort(bad)
	return bad, calls, nil
}

// callsOf returns the doc comments of the exported functions and methods of a file, of interfaces
// too, that take a context and return an error.
func callsOf(file *ast.File) map[string]string {
	calls := map[string]string{}
	add := func(receiver, name string, f *ast.FuncType, doc *ast.CommentGroup) {
		exported := ast.IsExported(name) && (receiver == "" || ast.IsExported(receiver))
		if exported && has(f.Params, "context.Context") && has(f.Results, "error") {
			calls[strings.TrimPrefix(receiver+"."+name, ".")] = doc.Text()
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			receiver := ""
			if d.Recv != nil {
				receiver = named("", d.Recv.List[0].Type, nil).name
			}
			add(receiver, d.Name.Name, d.Type, d.Doc)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				of, ok := s.Type.(*ast.InterfaceType)
				if !ok {
					continue
				}
				for _, m := range of.Methods.List {
					if f, ok := m.Type.(*ast.FuncType); ok {
						add(s.Name.Name, m.Names[0].Name, f, m.Doc)
					}
				}
			}
		}
	}
	return calls
}

// word matches the names in the text of a type.
var word = regexp.MustCompile(`[\w.]+`)

// has reports whether one of the parameters or results has a type that contains a name.
func has(fields *ast.FieldList, name string) bool {
	if fields == nil {
		return false
	}
	return slices.ContainsFunc(fields.List, func(f *ast.Field) bool {
		if _, fn := f.Type.(*ast.FuncType); fn {
			return false
		}
		return slices.Contains(word.FindAllString(types.ExprString(f.Type), -1), name)
	})
}
