// Command dist builds the files of a release: programs in archives, packages for Debian and Red
// Hat, container images, and their checksums.
//
// # Usage
//
//	go run -C tools/dist . -version v0.1.0 -out ../../dist
//
// # Guarantees
//
// The files depend on the commit, the version and the version of Go only. All times in them are the
// time of the commit.
//
// # Limitations
//
// The working tree is built as it is: SHA256SUMS says nothing about changes that are not committed.
// Nothing is signed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// platform is a system that the program is built for.
type platform struct{ os, arch string }

var platforms = []platform{
	{"linux", "amd64"},
	{"linux", "arm64"},
	{"darwin", "amd64"},
	{"darwin", "arm64"},
	{"windows", "amd64"},
	{"windows", "arm64"},
}

func main() {
	version := flag.String("version", "v0.0.0-dev", "version, as in the tag")
	out := flag.String("out", "dist", "folder for the files; it is emptied")
	only := flag.String("only", "", "one platform, such as linux/amd64; empty means all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *version, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1) //nolint:gocritic // the process ends, and the signals with it
	}
}

// dist is one run.
type dist struct {
	version string // without the v
	root    string
	out     string
	temp    string
	at      time.Time
	extras  []file // the other files of archives and packages
}

func run(ctx context.Context, version, out, only string) (err error) {
	d := &dist{version: strings.TrimPrefix(version, "v")}
	if d.out, err = filepath.Abs(out); err != nil {
		return err
	}
	if d.root, err = output(ctx, "git", "rev-parse", "--show-toplevel"); err != nil {
		return err
	}
	seconds, err := output(ctx, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	d.at = time.Unix(unix, 0).UTC()
	if d.temp, err = os.MkdirTemp("", "dist"); err != nil {
		return err
	}
	defer func() {
		if removed := os.RemoveAll(d.temp); err == nil {
			err = removed
		}
	}()
	if err := os.RemoveAll(d.out); err != nil {
		return err
	}
	if err := os.MkdirAll(d.out, 0o755); err != nil {
		return err
	}
	if err := d.findExtras(ctx); err != nil {
		return err
	}
	for _, p := range platforms {
		if only != "" && only != p.os+"/"+p.arch {
			continue
		}
		fmt.Printf("+ %s/%s\n", p.os, p.arch)
		if err := d.make(ctx, p); err != nil {
			return fmt.Errorf("%s/%s: %w", p.os, p.arch, err)
		}
	}
	return d.checksums()
}

// make makes the files of a platform.
func (d *dist) make(ctx context.Context, p platform) error {
	program, err := d.build(ctx, p)
	if err != nil {
		return err
	}
	if err := d.archive(p, program); err != nil || p.os != "linux" {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		if err := d.pack(p, format, program); err != nil {
			return err
		}
	}
	return d.image(p, program)
}

// build builds the program. The workspace has the library and the command only, because with more
// modules in it the program would have the versions that those require.
func (d *dist) build(ctx context.Context, p platform) (string, error) {
	program := filepath.Join(d.temp, p.os+"-"+p.arch, "holdfast")
	if p.os == "windows" {
		program += ".exe"
	}
	work, err := d.workspace(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X main.release=v"+d.version, "-o", program, ".")
	cmd.Dir = filepath.Join(d.root, "cmd", "holdfast")
	cmd.Env = buildEnv(p, work)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return program, cmd.Run()
}

// buildEnv returns the environment of build. It overrides all settings that would change the
// program. GOFLAGS is not empty, because the go command reads an empty one from its own file.
func buildEnv(p platform, work string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK="+work,
		"GOOS="+p.os, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=",
		"GOFIPS140=off")
}

// workspace writes the go.work for build.
func (d *dist) workspace(ctx context.Context) (string, error) {
	const library = "github.com/holdfast-go/holdfast"
	version, err := output(ctx, "go", "-C", filepath.Join(d.root, "cmd", "holdfast"), "mod", "edit",
		"-print")
	if err != nil {
		return "", err
	}
	_, version, _ = strings.Cut(version, library+" v")
	version, _, _ = strings.Cut(version, "\n")
	name := filepath.Join(d.temp, "go.work")
	text := fmt.Sprintf("go 1.26.0\n\nuse %q\n\nuse %q\n\nreplace %s v%s => %q\n", d.root,
		filepath.Join(d.root, "cmd", "holdfast"), library, version, d.root)
	return name, os.WriteFile(name, []byte(text), 0o644)
}

// findExtras has a program for this system write the manual pages and completions.
func (d *dist) findExtras(ctx context.Context) error {
	d.extras = []file{
		{filepath.Join(d.root, "LICENSE"), "LICENSE", "/usr/share/doc/holdfast/copyright", 0o644},
		{filepath.Join(d.root, "CHANGELOG.md"), "CHANGELOG.md", "", 0o644},
	}
	program, err := d.build(ctx, platform{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return err
	}
	man := filepath.Join(d.temp, "man")
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	if _, err := output(ctx, program, "man", man); err != nil {
		return err
	}
	pages, err := os.ReadDir(man)
	if err != nil {
		return err
	}
	for _, page := range pages {
		d.extras = append(d.extras, file{
			filepath.Join(man, page.Name()), "man/" + page.Name(),
			"/usr/share/man/man1/" + page.Name(), 0o644,
		})
	}
	for _, shell := range []struct{ name, installed string }{
		{"bash", "/usr/share/bash-completion/completions/holdfast"},
		{"zsh", "/usr/share/zsh/site-functions/_holdfast"},
		{"fish", "/usr/share/fish/vendor_completions.d/holdfast.fish"},
		{"powershell", ""},
	} {
		script, err := output(ctx, program, "completion", shell.name)
		if err != nil {
			return err
		}
		path := filepath.Join(d.temp, "completion."+shell.name)
		if err := os.WriteFile(path, []byte(script+"\n"), 0o644); err != nil {
			return err
		}
		d.extras = append(d.extras, file{
			path, "completions/holdfast." + shell.name, shell.installed, 0o644,
		})
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
