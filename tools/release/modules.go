package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

const library = "github.com/holdfast-go/holdfast"

// folder is a module of go.work.
type folder struct {
	name string // from the root of the repository, "." for the library
	mod  *modfile.File
}

func (f folder) path() string { return f.mod.Module.Mod.Path }

// tagged reports whether releases have the module. The tests of the repository are in none.
func (f folder) tagged() bool {
	return f.name != "integration" && !strings.HasPrefix(f.name, "integration/")
}

// tag returns the tag of the module for a version.
func (f folder) tag(version string) string { return path.Join(f.name, version) }

// own returns the modules of the repository that the module requires.
func (f folder) own() (paths []string) {
	for _, r := range f.mod.Require {
		if ours(r.Mod.Path) {
			paths = append(paths, r.Mod.Path)
		}
	}
	return paths
}

func ours(path string) bool { return path == library || strings.HasPrefix(path, library+"/") }

// readFolders returns the modules of go.work, each after those that it requires, and the version
// at which they require each other.
func readFolders(root string) (sorted []folder, version string, err error) {
	work, err := readWork(root)
	if err != nil {
		return nil, "", err
	}
	var left []folder
	for _, use := range work.Use {
		name := filepath.ToSlash(filepath.Clean(use.Path))
		mod, err := readMod(filepath.Join(root, name, "go.mod"))
		if err != nil {
			return nil, "", err
		}
		if len(mod.Replace) > 0 {
			return nil, "", fmt.Errorf("%s: go.mod has a replace directive", name)
		}
		left = append(left, folder{name, mod})
	}
	if version, err = commonVersion(left, work); err != nil {
		return nil, "", err
	}
	known := map[string]bool{}
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(f folder) bool {
			return !slices.ContainsFunc(f.own(), func(path string) bool { return !known[path] })
		})
		if i < 0 {
			return nil, "", fmt.Errorf("go.work: modules require each other, or one outside of it")
		}
		known[left[i].path()] = true
		sorted = append(sorted, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return sorted, version, nil
}

// commonVersion returns the version that all modules require of each other, and that go.work
// replaces.
func commonVersion(folders []folder, work *modfile.WorkFile) (version string, err error) {
	see := func(where, path, v string) {
		if version == "" {
			version = v
		}
		if v != version {
			err = fmt.Errorf("%s: %s is at %s, elsewhere it is %s", where, path, v, version)
		}
	}
	for _, f := range folders {
		for _, r := range f.mod.Require {
			if ours(r.Mod.Path) {
				see(f.name+"/go.mod", r.Mod.Path, r.Mod.Version)
			}
		}
	}
	for _, r := range work.Replace {
		see("go.work", r.Old.Path, r.Old.Version)
	}
	return version, err
}

func readWork(root string) (*modfile.WorkFile, error) {
	name := filepath.Join(root, "go.work")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.ParseWork(name, text, nil)
}

func readMod(name string) (*modfile.File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, text, nil)
}

// writeMod writes a go.mod in the form that the go command gives it.
func writeMod(name string, mod *modfile.File) error {
	mod.Cleanup()
	text, err := mod.Format()
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// splitSums separates the lines of a go.sum about modules of the repository from the others. A
// missing file has none.
func splitSums(name string) (own, others []string, err error) {
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return nil, nil, err
	}
	for line := range strings.Lines(string(text)) {
		if path, _, _ := strings.Cut(line, " "); ours(path) {
			own = append(own, line)
		} else {
			others = append(others, line)
		}
	}
	return own, others, nil
}
