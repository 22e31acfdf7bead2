package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// release is a version of all modules, made in a copy of the tree.
type release struct {
	version string
	tree    string // the copy of the repository
	proxy   string // a module proxy of files
	folders []folder
	sums    map[string][]string // the lines of go.sum about each module, by its path
	env     []string
}

// prepare copies the tree into a folder, and makes each module require the others at the version.
// If the version is empty it is the one that they require. Each module is put into the proxy
// before the next one has its checksum. The checksum of a module does not depend on the
// modules in folders below it, so that all of them can be in one commit.
func prepare(ctx context.Context, root, dir, version string) (*release, error) {
	r := &release{tree: filepath.Join(dir, "tree"), proxy: filepath.Join(dir, "proxy"),
		sums: map[string][]string{}}
	if err := copyTree(ctx, root, r.tree); err != nil {
		return nil, err
	}
	var err error
	if r.folders, r.version, err = readFolders(r.tree); err != nil {
		return nil, err
	}
	if version != "" {
		r.version = version
	}
	cache, err := output(ctx, root, "go", "env", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	upstream, err := output(ctx, root, "go", "env", "GOPROXY")
	if err != nil {
		return nil, err
	}
	// The module cache is one of its own, because the version may have other contents each time.
	// -trimpath lets runs share the build cache although their folders differ.
	r.env = append(
		os.Environ(), "GOWORK=off", "GOSUMDB=off", "GOTOOLCHAIN=local",
		"GOFLAGS=-mod=mod -modcacherw -buildvcs=false -trimpath",
		"GOMODCACHE="+filepath.Join(dir, "modcache"), "GOBIN="+filepath.Join(dir, "bin"),
		"GOPROXY=file://"+r.proxy+",file://"+filepath.Join(cache, "cache", "download")+","+upstream,
	)
	if err := r.setWork(); err != nil {
		return nil, err
	}
	for _, f := range r.folders {
		if err := r.require(f); err != nil {
			return nil, err
		}
		if err := r.publish(f); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// setWork sets the version that go.work replaces.
func (r *release) setWork() error {
	work, err := readWork(r.tree)
	if err != nil {
		return err
	}
	for _, old := range slices.Clone(work.Replace) {
		if err := work.DropReplace(old.Old.Path, old.Old.Version); err != nil {
			return err
		}
		if err := work.AddReplace(old.Old.Path, r.version, old.New.Path, ""); err != nil {
			return err
		}
	}
	work.SortBlocks()
	work.Cleanup()
	return os.WriteFile(filepath.Join(r.tree, "go.work"), modfile.Format(work.Syntax), 0o644)
}

// require makes a module require the others at the version, with their checksums.
func (r *release) require(f folder) error {
	dir := filepath.Join(r.tree, f.name)
	_, sums, err := splitSums(filepath.Join(dir, "go.sum"))
	if err != nil {
		return err
	}
	for _, path := range f.own() {
		if err := f.mod.AddRequire(path, r.version); err != nil {
			return err
		}
		sums = append(sums, r.sums[path]...)
	}
	if err := writeMod(filepath.Join(dir, "go.mod"), f.mod); err != nil {
		return err
	}
	return writeSums(filepath.Join(dir, "go.sum"), sums)
}

// addSums keeps the lines about a module in the proxy that go.sum has in others.
func (r *release) addSums(path, zipFile string, mod []byte) error {
	all, err := dirhash.HashZip(zipFile, dirhash.Hash1)
	if err != nil {
		return err
	}
	one, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(mod)), nil
	})
	r.sums[path] = []string{
		fmt.Sprintf("%s %s %s\n", path, r.version, all),
		fmt.Sprintf("%s %s/go.mod %s\n", path, r.version, one),
	}
	return err
}

// publish puts a module into the proxy. A module without a license gets the license of the
// repository, as Go does it.
func (r *release) publish(f folder) (err error) {
	m := module.Version{Path: f.path(), Version: r.version}
	at := filepath.Join(r.proxy, filepath.FromSlash(m.Path), "@v")
	dir := filepath.Join(r.tree, f.name)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	license := filepath.Join(dir, "LICENSE")
	if _, err := os.Stat(license); os.IsNotExist(err) {
		text, err := os.ReadFile(filepath.Join(r.tree, "LICENSE"))
		if err != nil {
			return err
		}
		if err := write(license, text); err != nil {
			return err
		}
		defer func() {
			if removed := os.Remove(license); err == nil {
				err = removed
			}
		}()
	}
	for name, text := range map[string]string{
		"list": r.version + "\n", r.version + ".mod": string(mod),
		r.version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, r.version),
	} {
		if err := write(filepath.Join(at, name), []byte(text)); err != nil {
			return err
		}
	}
	zipFile := filepath.Join(at, r.version+".zip")
	file, err := os.Create(zipFile)
	if err != nil {
		return err
	}
	if err := zip.CreateFromDir(file, m, dir); err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	return r.addSums(m.Path, zipFile, mod)
}

// prepareTree prepares a release in the working tree.
func prepareTree(ctx context.Context, root, version string) error {
	return inTemp(func(dir string) error {
		r, err := prepare(ctx, root, dir, version)
		if err != nil {
			return err
		}
		names := []string{"go.work"}
		for _, f := range r.folders {
			names = append(names, filepath.Join(f.name, "go.mod"), filepath.Join(f.name, "go.sum"))
		}
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(r.tree, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
				return err
			}
		}
		fmt.Println("commit this, and set these tags on the commit:")
		for _, f := range r.folders {
			if f.tagged() {
				fmt.Println(f.tag(version))
			}
		}
		return nil
	})
}
