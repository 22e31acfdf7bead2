package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const program = `package main

import (
	"context"

	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func work(ctx context.Context, s *session.Session) error {
	return mutex.New(s, "jobs", nil).Do(ctx, func(context.Context, *mutex.Lock) error {
		return nil
	})
}

func main() {}
`

const programTest = `package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/holdfasttest"
)

func TestWork(t *testing.T) {
	if err := work(t.Context(), holdfasttest.New(t).Session(nil)); err != nil {
		t.Fatal(err)
	}
}
`

// use builds and tests a program that only locks, also with a folder of vendored modules, and
// compares the modules that it has with the ones that it may have.
func (r *release) use(ctx context.Context, dir string) error {
	for name, text := range map[string]string{"main.go": program, "main_test.go": programTest} {
		if err := write(filepath.Join(dir, name), []byte(text)); err != nil {
			return err
		}
	}
	err := r.goAll(ctx, dir,
		[]string{"mod", "init", "example.com/program"},
		[]string{"get", library + "@" + r.version},
		[]string{"mod", "tidy"},
		[]string{"test", "./..."},
		[]string{"mod", "vendor"},
		[]string{"vet", "-mod=vendor", "./..."},
		[]string{"build", "-mod=vendor", "./..."},
	)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}}", "all")
	cmd.Dir, cmd.Env = dir, r.env
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list -m all: %w", err)
	}
	return checkModules(strings.Fields(string(out)))
}

// checkModules compares the modules of a program that only locks with the three that the library
// requires.
func checkModules(got []string) error {
	want := []string{
		"example.com/program", "github.com/cenkalti/backoff/v4", "github.com/google/uuid",
		library, "go.uber.org/goleak",
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("a program that only locks has the modules %q, want %q", got, want)
	}
	return nil
}

// useAll vets a program that imports all modules of packages at one version.
func (r *release) useAll(ctx context.Context, dir string) error {
	get := []string{"get"}
	var text strings.Builder
	text.WriteString("package all\n\nimport (\n")
	for _, f := range r.folders {
		if !f.tagged() {
			continue
		}
		get = append(get, f.path()+"@"+r.version)
		if f.name != "." && f.name != "cmd/holdfast" && f.name != "examples" {
			fmt.Fprintf(&text, "\t_ %q\n", f.path())
		}
	}
	text.WriteString("\t_ \"" + library + "/mutex\"\n)\n")
	if err := write(filepath.Join(dir, "all.go"), []byte(text.String())); err != nil {
		return err
	}
	return r.goAll(ctx, dir,
		[]string{"mod", "init", "example.com/all"},
		get,
		[]string{"mod", "tidy"},
		[]string{"vet", "./..."},
		[]string{"mod", "vendor"},
		[]string{"vet", "-mod=vendor", "./..."},
	)
}

// goAll runs commands of go one after the other.
func (r *release) goAll(ctx context.Context, dir string, commands ...[]string) error {
	for _, args := range commands {
		if err := r.run(ctx, dir, "go", args...); err != nil {
			return err
		}
	}
	return nil
}
