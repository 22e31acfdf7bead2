package etcdproc

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdfast-go/holdfast/integration/internal/flock"
)

// DefaultVersion is the version of etcd for Options that name none.
const DefaultVersion = "3.6"

const (
	cacheEnv    = "HOLDFAST_ETCD_CACHE"
	versionsEnv = "ETCD_VERSIONS"
	cgoEnv      = "CGO_ENABLED"

	integrationModule = "github.com/holdfast-go/holdfast/integration"
	serverPackage     = "go.etcd.io/etcd/server/v3"
	ctlPackage        = "go.etcd.io/etcd/etcdctl/v3"
	utlPackage        = "go.etcd.io/etcd/etcdutl/v3"
)

// ErrNotInstalled is returned for a version of etcd that cannot be built and is not installed. This
// affects 3.4 only: its module does not build with current Go, so Binary looks for it among the
// installed programs.
var ErrNotInstalled = errors.New("etcd is not installed")

// Versions returns the versions of etcd that the tests run against: the comma separated list in the
// environment variable ETCD_VERSIONS, or DefaultVersion.
func Versions() []string {
	var versions []string
	for v := range strings.SplitSeq(os.Getenv(versionsEnv), ",") {
		if v = strings.TrimSpace(v); v != "" {
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return []string{DefaultVersion}
	}
	return versions
}

// Binary returns the path of the etcd server of a version such as "3.6".
//
// The first call for a version builds the server, which takes about a minute. The result is kept in
// the directory HOLDFAST_ETCD_CACHE, by default holdfast-etcd in the user's cache directory. With
// CGO_ENABLED=0 the server is linked statically. Binary is safe for concurrent use, also by several
// processes. For "3.4" it looks for an installed etcd and returns ErrNotInstalled if there is none.
// For other versions it returns an error if no module of integration/etcd pins the version or the
// build fails.
func Binary(version string) (string, error) {
	if version == "3.4" {
		return installed(version)
	}
	return build(version, serverPackage, "etcd")
}

// Ctl returns the path of etcdctl. It builds it like Binary.
func Ctl() (string, error) { return build("etcdctl", ctlPackage, "etcdctl") }

// Utl returns the path of etcdutl. It builds it like Binary.
func Utl() (string, error) { return build("etcdutl", utlPackage, "etcdutl") }

// installed finds an etcd of the version among the installed programs.
func installed(version string) (string, error) {
	for _, name := range []string{"etcd", "/usr/bin/etcd"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			return "", fmt.Errorf("etcdproc: ask %s for its version: %w", path, err)
		}
		if strings.HasPrefix(string(out), "etcd Version: "+version+".") {
			return path, nil
		}
	}
	return "", fmt.Errorf("etcdproc: find etcd %s: %w", version, ErrNotInstalled)
}

// build returns the path of the program pkg, built from the module integration/etcd/<pin>.
func build(pin, pkg, name string) (string, error) {
	path, err := cachedBuild(pin, pkg, name)
	if err != nil {
		return "", fmt.Errorf("etcdproc: build %s %s: %w", name, pin, err)
	}
	return path, nil
}

func cachedBuild(pin, pkg, name string) (string, error) {
	module, err := pinnedModule(pin)
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", err
	}
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	key := fmt.Sprintf("%s-%s-%.6x", pin, strings.Fields(runtime.Version())[0], sha256.Sum256(sums))
	if os.Getenv(cgoEnv) == "0" {
		key += "-static"
	}
	dir := filepath.Join(root, key)
	path := filepath.Join(dir, name)
	if exists(path) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	lock, err := flock.Acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	if !exists(path) {
		err = compile(module, pkg, path)
	}
	return path, errors.Join(err, lock.Release())
}

// compile builds pkg into a temporary file and renames it to path, so that path never names an
// incomplete program. It sets no flags with which packages that the tests share with etcd, such as
// the standard library, would be compiled again.
func compile(module, pkg, path string) error {
	temp := path + ".new"
	cmd := exec.Command("go", "build", "-o", temp, pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return os.Rename(temp, path)
}

// pinnedModule returns the directory of the module that pins a server version.
func pinnedModule(pin string) (string, error) {
	root, err := integrationDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "etcd", pin)
	if !exists(filepath.Join(dir, "go.mod")) {
		return "", fmt.Errorf("no module pins etcd %q", pin)
	}
	return dir, nil
}

// integrationDir returns the directory of the integration module. It takes the path of this source
// file or, in a build with -trimpath, asks the go command.
func integrationDir() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Dir(filepath.Dir(file)); exists(filepath.Join(dir, "etcd")) {
			return dir, nil
		}
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", integrationModule).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", integrationModule, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func cacheRoot() (string, error) {
	if dir := os.Getenv(cacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory, set %s: %w", cacheEnv, err)
	}
	return filepath.Join(dir, "holdfast-etcd"), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
