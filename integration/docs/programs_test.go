package docs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestProgramsFailWithStatusOne runs the programs of the documents without etcd. SIGTERM ends the
// programs that keep retrying, as it ends a service.
func TestProgramsFailWithStatusOne(t *testing.T) {
	count := 0
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if b.lang != "go" || !strings.Contains(b.text, "\nfunc main() {") {
				continue
			}
			count++
			t.Run(fmt.Sprintf("%s:%d", page, b.line), func(t *testing.T) {
				failsWithStatusOne(t, b.text)
			})
		}
	}
	if count == 0 {
		t.Error("no programs")
	}
}

func failsWithStatusOne(t *testing.T, text string) {
	etcd, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tried := make(chan struct{}, 1)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for {
			c, err := etcd.Accept()
			if err != nil {
				return
			}
			c.Close()
			select {
			case tried <- struct{}{}:
			default:
			}
		}
	}()
	defer func() { etcd.Close(); <-closed }()

	const documented = "127.0.0.1:2379"
	if !strings.Contains(text, documented) {
		t.Fatalf("no %s in the program", documented)
	}
	program := build(t, strings.ReplaceAll(text, documented, etcd.Addr().String()))
	ctx, cancel := context.WithTimeout(t.Context(), recipetest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "signal.NotifyContext") {
		select {
		case <-tried:
		case <-ctx.Done():
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	began := time.Now()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, not with status 1:\n%s", err, &said)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("ended after %v", took)
	}
	if said.Len() == 0 {
		t.Error("ended without a word")
	}
}

// build compiles a program from a file outside the module.
func build(t *testing.T, text string) string {
	t.Helper()
	temp := t.TempDir()
	file := filepath.Join(temp, "main.go")
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(dir, "docs", "program", "main.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		file:                                []byte(text),
		filepath.Join(temp, "overlay.json"): overlay,
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(temp, "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "-overlay",
		filepath.Join(temp, "overlay.json"), "./docs/program")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
