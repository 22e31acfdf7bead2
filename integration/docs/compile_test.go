package docs_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/holdfast-go/holdfast/"
	etcd   = "go.etcd.io/etcd/"
)

// imports are the packages that the code in the documents uses without an import.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "io": "io",
	"log": "log", "os": "os",
	"rand": "math/rand/v2", "signal": "os/signal", "slog": "log/slog", "strconv": "strconv",
	"syscall": "syscall",
	"testing": "testing", "synctest": "testing/synctest", "time": "time", "tls": "crypto/tls",
	"x509": "crypto/x509",

	"gateway": module + "gateway", "session": module + "session", "mutex": module + "mutex",
	"election":  module + "election",
	"semaphore": module + "semaphore", "barrier": module + "barrier", "queue": module + "queue",
	"once": module + "once", "cron": module + "cron", "cache": module + "cache",
	"member": module + "member", "stm": module + "stm", "limit": module + "limit",
	"holdfasttest": module + "holdfasttest",
	"shard":        module + "shard",

	"clientv3": etcd + "client/v3", "concurrency": etcd + "client/v3/concurrency",
	"namespace": etcd + "client/v3/namespace",
	"recipe":    etcd + "client/v3/experimental/recipes",
	"rpctypes":  etcd + "api/v3/v3rpc/rpctypes",

	"containers": module + "holdfasttest/containers",
}

// unit is a Go file made from a piece of a document.
type unit struct {
	where  string // the place in the document
	code   string
	module string // the module that compiles it, below integration
	around string // a file in testdata that declares names which the piece uses
}

// source returns the text of the file. A complete file stays unchanged, declarations get a package
// clause, and statements become a function.
func (u unit) source() (string, error) {
	code := u.code
	if !strings.HasPrefix(code, "package ") {
		code = "package block\n\n" + code
		if _, err := parser.ParseFile(token.NewFileSet(), "", code,
			parser.SkipObjectResolution); err != nil {
			if code, err = function(u.code); err != nil {
				return "", err
			}
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", code, 0)
	if err != nil {
		return "", err
	}
	needed := map[string]string{}
	for _, name := range file.Unresolved {
		if path := imports[name.Name]; path != "" && len(file.Imports) == 0 {
			needed[name.Name] = path
		}
	}
	_, rest, _ := strings.Cut(code, "\n")
	var head strings.Builder
	fmt.Fprintf(&head, "package %s\n\n", file.Name)
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		fmt.Fprintf(&head, "import %s %q\n", name, needed[name])
	}
	pretty, err := format.Source([]byte(head.String() + rest))
	return string(pretty), err
}

// function makes statements a function that uses all variables they declare.
func function(code string) (string, error) {
	head := "package block\n\nfunc _() error {\n"
	tail := "\nreturn nil\n}\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", head+code+tail,
		parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	var use strings.Builder
	for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				use.WriteString(used(s.Lhs...))
			}
		case *ast.RangeStmt: // of a table: one without a body
			if body := strings.TrimSpace(code); s.Tok == token.DEFINE &&
				strings.HasSuffix(body, "{}") {
				code = strings.TrimSuffix(body, "{}") + "{" + used(s.Key, s.Value) + "\n}"
			}
		}
	}
	return head + code + use.String() + tail, nil
}

func used(vars ...ast.Expr) string {
	var use strings.Builder
	for _, v := range vars {
		if v, ok := v.(*ast.Ident); ok && v.Name != "_" {
			fmt.Fprintf(&use, "\n_ = %s", v.Name)
		}
	}
	return use.String()
}

// compile compiles units without writing them into the module, each as a package of its own.
func compile(t *testing.T, units []unit) {
	t.Helper()
	temp := t.TempDir()
	overlay := map[string]map[string]string{}
	packages := map[string][]string{}
	names := map[string]unit{}
	for i, u := range units {
		source, err := u.source()
		if err != nil {
			t.Errorf("%s: %v", u.where, err)
			continue
		}
		name := fmt.Sprintf("block%03d", i)
		names[name] = u
		dir, err := filepath.Abs(filepath.Join("..", u.module))
		if err != nil {
			t.Fatal(err)
		}
		if overlay[dir] == nil {
			overlay[dir] = map[string]string{}
		}
		files := map[string]string{"block.go": source}
		if u.around != "" && !strings.HasPrefix(u.code, "package ") {
			files["around.go"] = read(t, filepath.Join("testdata", u.around))
		}
		for file, text := range files {
			real := filepath.Join(temp, name+file)
			if err := os.WriteFile(real, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay[dir][filepath.Join(dir, "docs", name, file)] = real
		}
		packages[dir] = append(packages[dir], "./docs/"+name)
	}
	for dir, list := range packages {
		text, err := json.Marshal(map[string]any{"Replace": overlay[dir]})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(temp, "overlay.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		// "go build" would link a package main and leave the program in the folder, so this is "go
		// list".
		args := append([]string{
			"list", "-export", "-f", "{{.Name}}", "-gcflags=-e", "-overlay",
			file,
		}, list...)
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			continue
		}
		said := strings.ReplaceAll(string(out), "\nblock", "")
		for name, u := range names {
			said = strings.ReplaceAll(said, "docs/"+name+"/block.go",
				u.where+" in the wrapped block, line")
			said = strings.ReplaceAll(said, filepath.Join(temp, name+"block.go"),
				u.where+" in the wrapped block, line")
		}
		t.Errorf("%v\n%s", err, said)
	}
}
