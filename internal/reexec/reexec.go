// Package reexec runs functions of a test in a further process of the same test binary.
//
// # Usage
//
// A test package registers its functions, and its TestMain calls Main first:
//
//	var consumer = reexec.Register("consumer", func(args consumerArgs) int { … })
//
//	func TestMain(m *testing.M) {
//		reexec.Main()
//		goleak.VerifyTestMain(m)
//	}
//
// A test starts consumer.Command(ctx, args). A test that needs the test framework in the other
// process starts itself with Repeat, and needs no TestMain.
//
// # Limitations
//
// The processes that a child starts inherit its environment. If they are the test binary, they are
// such children, too.
//
// # Concurrency
//
// Register is called while the package is initialized. Everything else is safe for concurrent use.
package reexec

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// env names the function of a child and has its arguments.
const env = "HOLDFAST_TEST_CHILD"

type call struct {
	Name string
	Args json.RawMessage
}

// functions are the registered functions by name.
var functions = map[string]func(args json.RawMessage) (status int, err error){}

// A Child is a registered function. It is safe for concurrent use.
type Child[A any] struct{ name string }

// Register makes a function callable in another process. The function returns the exit status. It
// panics if the name is already registered.
func Register[A any](name string, run func(args A) int) Child[A] {
	if functions[name] != nil {
		panic("reexec: " + name + " is registered twice")
	}
	functions[name] = func(text json.RawMessage) (int, error) {
		var args A
		if err := json.Unmarshal(text, &args); err != nil {
			return 0, err
		}
		return run(args), nil
	}
	return Child[A]{name}
}

// Main runs the function and ends the process if the process is a child of Child.Command.
// Otherwise it returns.
func Main() {
	text := os.Getenv(env)
	if text == "" {
		return
	}
	var c call
	err := json.Unmarshal([]byte(text), &c)
	run := functions[c.Name]
	if err == nil && run == nil {
		return // a child of Repeat
	}
	status := 0
	if err == nil {
		status, err = run(c.Args)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "reexec: %s: %v\n", text, err)
		status = 2
	}
	os.Exit(status)
}

// Command returns a command that runs the function, with arguments that are passed as JSON. The
// command is killed when ctx ends. Its standard error is this process's. It panics if the arguments
// cannot be encoded.
func (c Child[A]) Command(ctx context.Context, args A) *exec.Cmd {
	text, err := json.Marshal(args)
	if err != nil {
		panic(fmt.Sprintf("reexec: arguments of %s: %v", c.name, err))
	}
	cmd := command(ctx, call{c.name, text})
	cmd.Stderr = os.Stderr
	return cmd
}

// Repeat returns a command that runs only this test in another process, where Repeat returns nil.
// Flags of go test may be given.
func Repeat(tb testing.TB, flags ...string) *exec.Cmd {
	tb.Helper()
	var c call
	if text := os.Getenv(env); text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			tb.Fatal(err)
		}
		if c.Name == tb.Name() {
			return nil
		}
	}
	cmd := command(tb.Context(), call{Name: tb.Name()})
	cmd.Args = append(append(cmd.Args, "-test.run=^"+tb.Name()+"$"), flags...)
	return cmd
}

func command(ctx context.Context, c call) *exec.Cmd {
	text, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("reexec: %s: %v", c.Name, err))
	}
	self, err := os.Executable()
	if err != nil {
		panic(fmt.Sprintf("reexec: %v", err))
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), env+"="+string(text))
	return cmd
}
