package holdfast_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// maxMethods is how many exported methods an exported type may have. A reader of "go doc" finds no
// way through more.
const maxMethods = 30

func TestNoTypeHasTooManyMethods(t *testing.T) {
	t.Parallel()
	bad, err := checkMethods(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
}

// TestTooManyMethodsAreFound plants types and looks which are found.
func TestTooManyMethodsAreFound(t *testing.T) {
	t.Parallel()
	// methods declares so many on a receiver, first to last.
	methods := func(receiver, prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "func (%s) %s%d() {}\n", receiver, prefix, i)
		}
		return b.String()
	}
	// calls are so many methods of an interface.
	calls := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s%d()\n", prefix, i)
		}
		return b.String()
	}
	// extended declares an interface of 20 methods, and one with so many more.
	extended := func(more int) string {
		return "type t interface {\n" + calls("A", 20) + "}\n" +
			"type T interface {\nt\n" + calls("B", more) + "}\n"
	}
	for _, tt := range []struct {
		name, src string
		bad       bool
	}{
		{"as many as may be", "type T struct{}\n" + methods("T", "M", 30), false},
		{"one more", "type T struct{}\n" + methods("T", "M", 31), true},
		{
			"on values and on pointers",
			"type T struct{}\n" + methods("T", "M", 20) + methods("*T", "N", 11), true,
		},
		{"generic", "type T[A any, B any] struct{}\n" + methods("*T[A, B]", "M", 31), true},
		{"unexported methods", "type T struct{}\n" + methods("T", "m", 31), false},
		{"unexported type", "type t struct{}\n" + methods("t", "M", 31), false},
		{
			"promoted",
			"type t struct{}\ntype T struct{ *t }\n" + methods("t", "M", 20) + methods("T", "N",
				11), true,
		},
		{
			"promoted and hidden",
			"type t struct{}\ntype T struct{ t }\n" + methods("t", "M", 20) + methods("T", "M", 30),
			false,
		},
		{"promoted from another package", "import o " + strconv.Quote(module+"/other") + "\n" +
			"type T struct{ o.Other }\n" + methods("T", "N", 11), true},
		{"alias", "type t struct{}\ntype T = t\n" + methods("t", "M", 31), true},
		{"interface", extended(10), false},
		{"interface with one more", extended(11), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			other := "type Other struct{}\n" + methods("Other", "M", 20)
			tree := fstest.MapFS{
				"p/a.go":      {Data: []byte("package p\n\n" + tt.src)},
				"p/a_test.go": {Data: []byte("package p\n\n" + methods("T", "InATest", 31))},
				"other/o.go":  {Data: []byte("package other\n\n" + other)},
			}
			bad, err := checkMethods(tree)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(bad) > 0; got != tt.bad {
				t.Errorf("refused = %v, want %v: %q", got, tt.bad, bad)
			}
		})
	}
}

// typeName names a type: the folder of its package, and its name in there.
type typeName struct{ dir, name string }

// declaredType is the part of a type's declaration that checkMethods needs.
type declaredType struct {
	methods []string   // exported ones, and all methods of an interface
	embeds  []typeName // types whose methods it has too
}

// checkMethods reads every package of the tree, also of nested modules, and returns one line
// for each exported type that has too many exported methods. Methods promoted from types of other
// trees are not counted.
func checkMethods(tree fs.FS) (bad []string, err error) {
	types := map[typeName]*declaredType{}
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			hidden := strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
			if base == "testdata" || name != "." && hidden {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		declare(types, path.Dir(name), f)
		return nil
	})
	if err == nil && len(types) == 0 {
		err = errors.New("no types found")
	}
	for name := range types {
		if !ast.IsExported(name.name) {
			continue
		}
		if n := len(methodsOf(types, name, map[typeName]bool{})); n > maxMethods {
			bad = append(bad, fmt.Sprintf("%s: type %s has %d exported methods, more than %d",
				name.dir, name.name, n, maxMethods))
		}
	}
	slices.Sort(bad)
	return bad, err
}

// declare notes the types and methods of a file.
func declare(types map[typeName]*declaredType, dir string, f *ast.File) {
	of := func(name string) *declaredType {
		key := typeName{dir, name}
		if types[key] == nil {
			types[key] = &declaredType{}
		}
		return types[key]
	}
	imports := importsOf(f)
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil && d.Name.IsExported() {
				t := of(named(dir, d.Recv.List[0].Type, nil).name)
				t.methods = append(t.methods, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					of(s.Name.Name).define(dir, s, imports)
				}
			}
		}
	}
}

// define notes the methods and embedded types in a type's definition.
func (t *declaredType) define(dir string, s *ast.TypeSpec, imports map[string]string) {
	var fields *ast.FieldList
	ofInterface := false
	switch def := s.Type.(type) {
	case *ast.StructType:
		fields = def.Fields
	case *ast.InterfaceType:
		fields, ofInterface = def.Methods, true
	default:
		if s.Assign.IsValid() {
			t.embeds = append(t.embeds, named(dir, s.Type, imports))
		}
		return
	}
	for _, field := range fields.List {
		if len(field.Names) == 0 {
			t.embeds = append(t.embeds, named(dir, field.Type, imports))
			continue
		}
		if ofInterface && field.Names[0].IsExported() {
			t.methods = append(t.methods, field.Names[0].Name)
		}
	}
}

// importsOf gives the folders of the packages that a file imports from the same tree, by the name
// that it uses.
func importsOf(f *ast.File) map[string]string {
	imports := map[string]string{}
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has read it
		dir, ok := strings.CutPrefix(imported, module+"/")
		if !ok {
			continue
		}
		name := path.Base(dir)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = dir
	}
	return imports
}

// named finds the name of a type, which may be a pointer or have type arguments.
func named(dir string, t ast.Expr, imports map[string]string) typeName {
	switch t := t.(type) {
	case *ast.StarExpr:
		return named(dir, t.X, imports)
	case *ast.IndexExpr:
		return named(dir, t.X, imports)
	case *ast.IndexListExpr:
		return named(dir, t.X, imports)
	case *ast.Ident:
		return typeName{dir, t.Name}
	case *ast.SelectorExpr:
		if p, ok := t.X.(*ast.Ident); ok && imports[p.Name] != "" {
			return typeName{imports[p.Name], t.Sel.Name}
		}
	}
	return typeName{}
}

// methodsOf gives the names of the methods of a type, promoted ones too. seen has the types on the
// way to it.
func methodsOf(
	types map[typeName]*declaredType, name typeName, seen map[typeName]bool,
) map[string]bool {
	all := map[string]bool{}
	t := types[name]
	if t == nil || seen[name] {
		return all
	}
	seen[name] = true
	for _, m := range t.methods {
		all[m] = true
	}
	for _, e := range t.embeds {
		maps.Copy(all, methodsOf(types, e, seen))
	}
	delete(seen, name)
	return all
}
