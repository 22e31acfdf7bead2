package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// release is a version of the modules in a module proxy of files.
type release struct {
	version string
	tree    string // the copy of the repository
	proxy   string
	env     []string
}

// newRelease copies the tree, and sets the environment of all commands: a module cache of its own,
// because the version may have other contents each time.
func newRelease(ctx context.Context, dir, version string) (*release, error) {
	r := &release{
		version: version, tree: filepath.Join(dir, "tree"), proxy: filepath.Join(dir, "proxy"),
	}
	cache, err := output(ctx, "go", "env", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	upstream, err := output(ctx, "go", "env", "GOPROXY")
	if err != nil {
		return nil, err
	}
	r.env = append(
		os.Environ(), "GOWORK=off", "GOSUMDB=off", "GOTOOLCHAIN=local",
		"GOFLAGS=-mod=mod -modcacherw -buildvcs=false",
		"GOMODCACHE="+filepath.Join(dir, "modcache"), "GOBIN="+filepath.Join(dir, "bin"),
		"GOPROXY=file://"+r.proxy+",file://"+filepath.Join(cache, "cache", "download")+","+upstream,
	)
	return r, r.copyTree(ctx)
}

// copyTree copies the files that git knows, as they are in the working tree.
func (r *release) copyTree(ctx context.Context) error {
	root, err := output(ctx, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	names, err := output(ctx, "git", "-C", root, "ls-files", "-z")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted, and not yet committed
			continue
		}
		if err != nil {
			return err
		}
		if err := write(filepath.Join(r.tree, name), text); err != nil {
			return err
		}
	}
	return nil
}

// detach makes a nested module require the version of the library in place of the folder, and
// builds it alone.
func (r *release) detach(ctx context.Context, folder string) error {
	dir := filepath.Join(r.tree, folder)
	for _, args := range [][]string{
		{"mod", "edit", "-dropreplace=" + library, "-require=" + library + "@" + r.version},
		{"mod", "tidy"},
		{"vet", "./..."},
	} {
		if err := r.run(ctx, dir, "go", args...); err != nil {
			return err
		}
	}
	return nil
}

// publish puts the module of a folder into the proxy.
func (r *release) publish(folder string) error {
	m := module.Version{Path: path.Join(library, folder), Version: r.version}
	at := filepath.Join(r.proxy, filepath.FromSlash(m.Path), "@v")
	dir := filepath.Join(r.tree, folder)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	if strings.Contains(string(mod), "\nreplace ") {
		return fmt.Errorf("%s has a replace directive, with which it cannot be installed", m.Path)
	}
	for name, text := range map[string]string{
		"list": r.version + "\n", r.version + ".mod": string(mod),
		r.version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, r.version),
	} {
		if err := write(filepath.Join(at, name), []byte(text)); err != nil {
			return err
		}
	}
	file, err := os.Create(filepath.Join(at, r.version+".zip"))
	if err != nil {
		return err
	}
	if err := zip.CreateFromDir(file, m, dir); err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	return file.Close()
}

// run runs a command and shows it.
func (r *release) run(ctx context.Context, dir, name string, args ...string) error {
	fmt.Println("+", name, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, r.env, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// output returns the trimmed output of a command.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimRight(string(out), "\n"), nil
}

// write writes a file and makes its folders.
func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}
