package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programs are two programs that only acquire a lock, one with each library.
var programs = map[string]string{
	"holdfast": `package main

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func main() {
	ctx := context.Background()
	c, err := gateway.New(gateway.Config{Endpoints: []string{"http://127.0.0.1:2379"}})
	if err != nil {
		panic(err)
	}
	s, err := session.New(ctx, c, nil)
	if err != nil {
		panic(err)
	}
	l, err := mutex.New(s, "name", nil).Lock(ctx)
	if err != nil {
		panic(err)
	}
	_ = l.Unlock(ctx)
}
`,
	"clientv3": `package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func main() {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:2379"}})
	if err != nil {
		panic(err)
	}
	s, err := concurrency.NewSession(c)
	if err != nil {
		panic(err)
	}
	m := concurrency.NewMutex(s, "name")
	if err := m.Lock(context.Background()); err != nil {
		panic(err)
	}
	_ = m.Unlock(context.Background())
}
`,
}

// linked builds such a program with an empty build cache. It returns the size in MB, stripped, the
// modules that are linked, and the seconds of the build.
func linked(e env, lib library) (_ result, err error) {
	dir, err := os.MkdirTemp("", "holdfast-compare-")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := goOutput(e, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/holdfast-go/holdfast")
	if err != nil {
		return result{}, err
	}
	sums, err := os.ReadFile(filepath.Join(root, "integration", "go.sum"))
	if err != nil {
		return result{}, err
	}
	mod, err := os.ReadFile(filepath.Join(root, "integration", "go.mod"))
	if err != nil {
		return result{}, err
	}
	mod = append(mod, "\nreplace github.com/holdfast-go/holdfast => "+root+"\n"...)
	mod = bytes.Replace(mod, []byte("module github.com/holdfast-go/holdfast/integration"),
		[]byte("module program"), 1)
	for name, content := range map[string][]byte{
		"go.mod": mod, "go.sum": sums, "main.go": []byte(programs[lib.id()]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return result{}, err
		}
	}
	begin := time.Now()
	build := exec.CommandContext(e.ctx, "go", "build", "-mod=mod", "-trimpath", "-ldflags=-s -w",
		"-o", "program", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off",
		"GOCACHE="+filepath.Join(dir, "cache"))
	if out, err := build.CombinedOutput(); err != nil {
		return result{}, fmt.Errorf("%w\n%s", err, out)
	}
	took := time.Since(begin).Seconds()
	info, err := os.Stat(filepath.Join(dir, "program"))
	if err != nil {
		return result{}, err
	}
	deps, err := goOutput(e, dir, "version", "-m", "program")
	if err != nil {
		return result{}, err
	}
	modules := float64(strings.Count(deps, "\tdep\t"))
	return result{figures: []float64{float64(info.Size()) / 1e6, modules, took}}, nil
}

func goOutput(e env, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(e.ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
