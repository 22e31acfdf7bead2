package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// check prepares a release in a temporary folder, and uses it.
func check(ctx context.Context, root string) error {
	return inTemp(func(dir string) error {
		r, err := prepare(ctx, root, dir, "")
		if err != nil {
			return err
		}
		for _, f := range r.folders {
			// As for anybody else go.sum has to be complete.
			args := []string{"vet", "-mod=readonly", "./..."}
			if err := r.run(ctx, filepath.Join(r.tree, f.name), "go", args...); err != nil {
				return err
			}
		}
		if err := r.install(ctx, filepath.Join(dir, "empty")); err != nil {
			return err
		}
		if err := r.use(ctx, filepath.Join(dir, "program")); err != nil {
			return err
		}
		if err := r.useAll(ctx, filepath.Join(dir, "all")); err != nil {
			return err
		}
		return r.compareWithGit(ctx, dir)
	})
}

// inTemp calls a function with a temporary folder.
func inTemp(fn func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() {
		if removed := os.RemoveAll(dir); err == nil {
			err = removed
		}
	}()
	return fn(dir)
}

// run runs a command with the release as the module proxy, and shows it.
func (r *release) run(ctx context.Context, dir, name string, args ...string) error {
	short, err := filepath.Rel(filepath.Dir(r.tree), dir)
	if err != nil {
		return err
	}
	fmt.Printf("+ %s %s (%s)\n", name, strings.Join(args, " "), short)
	return runIn(ctx, dir, r.env, name, args...)
}

// install installs the command from an empty folder, and compares its version.
func (r *release) install(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := r.run(ctx, dir, "go", "install", library+"/cmd/holdfast@"+r.version); err != nil {
		return err
	}
	program := filepath.Join(filepath.Dir(dir), "bin", "holdfast")
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return fmt.Errorf("holdfast --version: %w", err)
	}
	if !strings.Contains(string(out), strings.TrimPrefix(r.version, "v")) {
		return fmt.Errorf("holdfast --version says %q", out)
	}
	return nil
}
