package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheCodeInTheTablesCompiles compiles the code in the tables of the migration guides. A name
// alone in a cell must be the name of a function, type, method, field or constant of that column's
// packages.
func TestTheCodeInTheTablesCompiles(t *testing.T) {
	ours := names(t, "gateway", "session", "mutex", "election", "semaphore", "barrier", "queue",
		"once", "cron", "cache", "member", "shard", "stm", "limit")
	theirs := names(t, "client/v3", "client/v3/concurrency", "client/v3/experimental/recipes",
		"client/v3/namespace")
	var units []unit
	for page, sides := range map[string][2]side{
		"migrate-clientv3.md": {{theirs, "clientv3.go"}, {ours, "holdfast.go"}},
		"migrate-etcd3gw.md":  {{}, {ours, "holdfast.go"}}, // the left column is Python
	} {
		rows := 0
		for i, line := range strings.Split(read(t, filepath.Join(root, "docs", page)), "\n") {
			cells := strings.Split(line, "|")
			if len(cells) != 4 || strings.HasPrefix(cells[1], "---") {
				continue
			}
			rows++
			where := fmt.Sprintf("%s:%d", page, i+1)
			for n, s := range sides {
				units = append(units, s.units(t, where, cells[n+1])...)
			}
		}
		if rows < 20 {
			t.Errorf("%s: only %d rows", page, rows)
		}
	}
	if len(units) < 100 {
		t.Errorf("only %d pieces of code", len(units))
	}
	compile(t, units)
}

// TestTablesAreWhole: all rows of a table have the same number of cells, because a renderer shows
// other rows as text.
func TestTablesAreWhole(t *testing.T) {
	t.Parallel()
	tables := 0
	for _, page := range pages(t) {
		cells := 0 // in the first row of the table
		for i, line := range strings.Split(read(t, page), "\n") {
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			switch {
			case !strings.HasPrefix(line, "|"):
				cells = 0
			case cells == 0:
				cells = n
				tables++
			case n != cells:
				t.Errorf("%s:%d: a row of %d cells below one of %d", page, i+1, n-1, cells-1)
			}
		}
	}
	if tables < 20 {
		t.Errorf("only %d tables", tables)
	}
}

// side is a column of a table.
type side struct {
	names  map[string]bool // names that may be alone in a cell; nil: the column is not checked
	around string
}

var (
	span = regexp.MustCompile("`([^`]+)`")
	bare = regexp.MustCompile(`^[A-Z]\w*(\(\))?$`)
)

// units returns the pieces of code in a cell that are more than a name.
func (s side) units(t *testing.T, where, cell string) (found []unit) {
	t.Helper()
	if s.names == nil {
		return nil
	}
	for _, m := range span.FindAllStringSubmatch(cell, -1) {
		code := m[1]
		switch {
		case bare.MatchString(code):
			if !s.names[strings.TrimSuffix(code, "()")] {
				t.Errorf("%s: %s is the name of nothing", where, code)
			}
		case statement(code) == "":
			t.Errorf("%s: %s is no Go", where, code)
		default:
			found = append(found, unit{where: where, code: statement(code), around: s.around})
		}
	}
	return found
}

// statement makes a statement of the code in a cell, such as a value, a type or a loop without its
// body. "…" is a place for the reader's code. It returns "" if the code is not Go.
func statement(code string) string {
	code = strings.NewReplacer("{ … }", "{ panic(0) }", ": …", ": nil", "…", "...").Replace(code)
	for _, try := range []string{
		code, "_ = " + code, "var _ " + code, code + " {}",
		"switch { " + code + ": }",
	} {
		text := "package p\nfunc _() {\n" + try + "\n}"
		file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		list := file.Decls[0].(*ast.FuncDecl).Body.List
		if e, ok := list[0].(*ast.ExprStmt); ok {
			if _, call := e.X.(*ast.CallExpr); !call {
				if _, receive := e.X.(*ast.UnaryExpr); !receive {
					continue
				}
			}
		}
		if a, ok := list[0].(*ast.AssignStmt); ok && a.Tok == token.ASSIGN {
			if star, ok := a.Rhs[0].(*ast.StarExpr); ok {
				_ = star // a pointer to a type, not a dereference
				continue
			}
		}
		return try
	}
	return ""
}

// names returns all exported names that packages of this library or of etcd declare.
func names(t *testing.T, packages ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, p := range packages {
		if p = etcd + p; !strings.Contains(p, "/v3") {
			p = module + strings.TrimPrefix(p, etcd)
		}
		out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", p).Output()
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(f, "_test.go") {
				collect(file, found)
			}
		}
	}
	return found
}

func collect(file *ast.File, found map[string]bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			found[n.Name.Name] = true
			return false
		case *ast.TypeSpec:
			found[n.Name.Name] = true
		case *ast.ValueSpec:
			for _, name := range n.Names {
				found[name.Name] = true
			}
		case *ast.Field: // of a struct, or a method of an interface
			for _, name := range n.Names {
				found[name.Name] = true
			}
		}
		return true
	})
}
