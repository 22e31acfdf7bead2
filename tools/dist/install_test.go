package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// installer installs and removes packages in a folder.
type installer struct {
	program string
	suffix  string
	zsh     string // the folder of completions that the zsh of the system searches
	prepare func(t *testing.T, root string)
	install func(root, name string) []string
	remove  func(root string) []string
}

var installers = []installer{
	{
		program: "dpkg", suffix: "deb", zsh: "vendor-completions", prepare: prepareDpkg,
		install: func(root, name string) []string { return dpkg(root, "-i", name) },
		remove:  func(root string) []string { return dpkg(root, "-r", "holdfast") },
	},
	{
		program: "rpm", suffix: "rpm", zsh: "site-functions",
		prepare: prepareRPM,
		install: func(root, name string) []string {
			return []string{"rpm", "--root", root, "-i", "--nodeps", name}
		},
		remove: func(root string) []string { return []string{"rpm", "--root", root, "-e", "holdfast"} },
	},
}

func dpkg(root string, args ...string) []string {
	return append([]string{
		"dpkg", "--root=" + root, "--log=" + filepath.Join(root, "log"), "--force-script-chrootless",
	}, args...)
}

func prepareRPM(t *testing.T, root string) {
	t.Helper()
	command(t, "rpm", "--root", root, "--initdb")
}

func prepareDpkg(t *testing.T, root string) {
	t.Helper()
	db := filepath.Join(root, "var", "lib", "dpkg")
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(db, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(db, "status"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPackagesInstallAndRemove builds the packages for this machine, installs each into a folder,
// uses the files there, and removes it.
func TestPackagesInstallAndRemove(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("packages are installed by root on Linux")
	}
	out := t.TempDir()
	if err := run(t.Context(), "v1.2.3", out, "linux/"+runtime.GOARCH); err != nil {
		t.Fatal(err)
	}
	for _, in := range installers {
		t.Run(in.suffix, func(t *testing.T) {
			if _, err := exec.LookPath(in.program); err != nil {
				t.Skipf("there is no %s", in.program)
			}
			found, err := filepath.Glob(filepath.Join(out, "*."+in.suffix))
			if err != nil || len(found) != 1 {
				t.Fatalf("packages: %q, %v", found, err)
			}
			root := t.TempDir()
			in.prepare(t, root)
			command(t, in.install(root, found[0])...)
			checkInstalled(t, root, in.zsh)
			command(t, in.remove(root)...)
			if left := filesOf(t, filepath.Join(root, "usr")); len(left) > 0 {
				t.Errorf("files are left: %q", left)
			}
		})
	}
}

// checkInstalled runs the program, has man format each page, and looks for the completions.
func checkInstalled(t *testing.T, root, zsh string) {
	t.Helper()
	usr := filepath.Join(root, "usr")
	for _, verb := range []string{"--version", "version"} {
		got := command(t, filepath.Join(usr, "bin", "holdfast"), verb)
		if got != "holdfast version v1.2.3\n" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	share := filepath.Join(usr, "share")
	for name, text := range map[string]string{
		"bash-completion/completions/holdfast":    "complete -o default",
		"zsh/" + zsh + "/_holdfast":               "#compdef holdfast",
		"fish/vendor_completions.d/holdfast.fish": "complete -c holdfast",
		"doc/holdfast/copyright":                  "Apache License",
		"man/man1/holdfast.1":                     "holdfast\\-lock(1)",
	} {
		got, err := os.ReadFile(filepath.Join(share, name))
		if err != nil || !strings.Contains(string(got), text) {
			t.Errorf("%s has no %q: %v", name, text, err)
		}
	}
	pages := filesOf(t, filepath.Join(share, "man", "man1"))
	if len(pages) < 30 {
		t.Errorf("only %d manual pages", len(pages))
	}
	if _, err := exec.LookPath("man"); err != nil {
		t.Log("there is no man, so its pages are not formatted")
		return
	}
	for _, page := range pages {
		// Warnings are on the standard error.
		if got := command(t, "man", "--warnings", "-E", "UTF-8", "-l", page); !strings.Contains(
			got, "SYNOPSIS") || strings.Contains(got, "warning:") {
			t.Errorf("%s is formatted as %.200q", page, got)
		}
	}
}

// filesOf returns the files in a folder. A folder that is not there has none.
func filesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return names
}

// command runs a command and returns both of its outputs.
func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}
