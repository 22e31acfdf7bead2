package holdfast_test

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	module  = "github.com/holdfast-go/holdfast"
	uuid    = "github.com/google/uuid"
	backoff = "github.com/cenkalti/backoff/v4"
	goleak  = "go.uber.org/goleak"
)

// arrows are the packages that the library code of each package may import in addition to the
// standard library. Packages of this module are named by their folder, others by their path. A
// package under internal without an entry, or holdfasttest, is a helper of tests.
var arrows = map[string][]string{
	".":                  {},
	"internal/ctxerr":    {},
	"internal/grace":     {"internal/ctxerr"},
	"internal/clock":     {},
	"internal/etcdjson":  {},
	"gateway":            {"internal/clock", "internal/ctxerr", "internal/etcdjson", backoff},
	"internal/merge":     {"gateway", "internal/ctxerr"},
	"internal/listwatch": {"gateway", "internal/ctxerr"},
	"internal/core": {
		"gateway", "internal/listwatch", "internal/grace", "internal/ctxerr", "internal/clock",
		uuid, backoff,
	},
	"internal/line":    {"gateway", "internal/core", "internal/listwatch", "internal/ctxerr"},
	"session":          {"gateway", "internal/core"},
	"internal/explain": {"gateway", "session", "internal/core", "internal/line"},
	"mutex": {
		"gateway", "session", "internal/core", "internal/line", "internal/explain",
		"internal/ctxerr",
	},
	"election": {
		"gateway", "session", "internal/core", "internal/line", "internal/explain",
		"internal/ctxerr",
	},
	"semaphore": {
		"gateway", "session", "internal/core", "internal/line", "internal/explain",
		"internal/ctxerr",
	},
	"barrier": {
		"gateway", "session", "internal/core", "internal/line", "internal/explain",
		"internal/grace", "internal/ctxerr",
	},
	"cache": {"gateway", "internal/listwatch", "internal/ctxerr"},
	"once": {
		"gateway", "session", "internal/core", "internal/line", "internal/explain",
		"internal/ctxerr", "internal/grace",
	},
	"cron": {
		"gateway", "session", "internal/core", "internal/line", "internal/clock", "internal/ctxerr",
	},
	"member": {
		"gateway", "session", "internal/core", "internal/line", "internal/listwatch",
		"internal/ctxerr", "internal/grace",
	},
	"stm": {"gateway", "session", "internal/core", "internal/merge", "internal/ctxerr"},
	"limit": {
		"gateway", "session", "stm", "internal/core", "internal/ctxerr", "internal/grace",
	},
	"shard": {
		"gateway", "session", "member", "internal/clock", "internal/core", "internal/line",
		"internal/listwatch", "internal/ctxerr",
	},
	"queue": {
		"gateway", "session", "internal/core", "internal/line", "internal/merge", "internal/clock",
		"internal/ctxerr",
	},
}

func TestArrows(t *testing.T) {
	t.Parallel()
	bad, err := checkArrows(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
}

// TestArrowsCanFail checks that forbidden imports are found.
func TestArrowsCanFail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, imports string
		bad                 bool
	}{
		{"standard library", "gateway/a.go", "net/http", false},
		{"downwards", "mutex/a.go", module + "/internal/line", false},
		{"upwards", "gateway/a.go", module + "/session", true},
		{"sideways", "election/a.go", module + "/mutex", true},
		{"the root from below", "session/a.go", module, true},
		{"allowed dependency", "internal/core/a.go", uuid, false},
		{"dependency of another layer", "mutex/a.go", uuid, true},
		{"foreign dependency", "gateway/a.go", "google.golang.org/grpc", true},
		{"behind a build tag", "gateway/a_windows.go", "golang.org/x/sys/windows", true},
		{"testing in the library", "session/a.go", "testing", true},
		{"a part of testing in the library", "session/a.go", "testing/iotest", true},
		{"testing in a test", "session/a_test.go", "testing", false},
		{"goleak in the library", "session/a.go", goleak, true},
		{"goleak in a test", "session/a_test.go", goleak, false},
		{"in a test", "session/a_test.go", "github.com/stretchr/testify/require", true},
		{"test helper", "internal/check/a.go", "testing", false},
		{
			"foreign dependency in a test helper", "internal/check/a.go",
			"github.com/stretchr/testify/require", true,
		},
		{"users' test helper", "holdfasttest/a.go", "testing", false},
		{"users' test helper from the library", "mutex/a.go", module + "/holdfasttest", true},
		{
			"foreign dependency in users' test helper", "holdfasttest/a.go",
			"github.com/stretchr/testify/require", true,
		},
		{"a dependency of tests in users' test helper", "holdfasttest/a.go", goleak, true},
		{"test helper from a test", "mutex/a_test.go", module + "/internal/check", false},
		{"test helper from the library", "mutex/a.go", module + "/internal/check", true},
		{"unknown package", "lease/a.go", "net/http", true},
		{"nested module", "integration/a.go", "google.golang.org/grpc", false},
		{"folder that go ignores", "gateway/testdata/a.go", "google.golang.org/grpc", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{
				"go.mod":             {},
				"integration/go.mod": {},
				"doc.go":             {Data: []byte("package holdfast\n")},
				tt.file: {Data: fmt.Appendf(nil, "package p\n\nimport _ %q\n",
					tt.imports)},
			}
			bad, err := checkArrows(tree)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(bad) > 0; got != tt.bad {
				t.Errorf("%s imports %s: refused = %v, want %v: %q", tt.file, tt.imports, got,
					tt.bad, bad)
			}
		})
	}
}

// checkArrows reads the imports of all Go files of the module at the root of tree, with any build
// tags. It returns one line for each forbidden import.
func checkArrows(tree fs.FS) (bad []string, err error) {
	files := 0
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && ignored(tree, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		files++
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := refuse(name, imported); why != "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", name, imported, why))
			}
		}
		return nil
	})
	if err == nil && files == 0 {
		err = errors.New("no Go files found")
	}
	return bad, err
}

// refuse returns the reason why file may not import the package, or "".
func refuse(file, imported string) string {
	dir := path.Dir(file)
	allowed, library := arrows[dir]
	kit := dir == "holdfasttest"
	helper := !library && (kit || strings.HasPrefix(dir, "internal/"))
	self := imported == module || strings.HasPrefix(imported, module+"/")
	first, _, _ := strings.Cut(imported, "/")
	std := !strings.Contains(first, ".")

	switch {
	case !library && !helper:
		return "the table in arrows_test.go does not know package " + dir
	case kit && !strings.HasSuffix(file, "_test.go"):
		if !std && !self {
			return "users would get the dependency with it"
		}
	case helper || strings.HasSuffix(file, "_test.go"):
		if !std && !self && !slices.Contains([]string{uuid, backoff, goleak}, imported) {
			return "not a dependency of the root module"
		}
	case first == "testing":
		return "library code must not link it"
	case !std:
		if self {
			imported = strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
		}
		if !slices.Contains(allowed, imported) {
			return fmt.Sprintf("%s may import the standard library and %q", dir, allowed)
		}
	}
	return ""
}

// ignored reports whether dir is outside the module, because it is another module or the go command
// ignores it.
func ignored(tree fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") ||
		strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(tree, dir+"/go.mod")
	return err == nil
}
