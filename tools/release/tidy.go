package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// tidy runs go mod tidy on copies of go.mod and go.sum that replace the modules of the repository
// by their folders. In go.sum the lines about them stay as they are.
func tidy(ctx context.Context, root string, diff bool) error {
	folders, _, err := readFolders(root)
	if err != nil {
		return err
	}
	at := map[string]string{}
	for _, f := range folders {
		at[f.path()] = filepath.Join(root, f.name)
	}
	return inTemp(func(dir string) error {
		for _, f := range folders {
			if err := f.tidy(ctx, root, filepath.Join(dir, f.name), at, diff); err != nil {
				return err
			}
		}
		return nil
	})
}

// tidy uses the folder temp for the copies.
func (f folder) tidy(
	ctx context.Context, root, temp string, at map[string]string, diff bool,
) error {
	mod, sum := filepath.Join(root, f.name, "go.mod"), filepath.Join(root, f.name, "go.sum")
	tempMod, tempSum := filepath.Join(temp, "go.mod"), filepath.Join(temp, "go.sum")
	if err := os.MkdirAll(temp, 0o750); err != nil {
		return err
	}
	for path, folder := range at {
		if path == f.path() {
			continue
		}
		if err := f.mod.AddReplace(path, "", folder, ""); err != nil {
			return err
		}
	}
	if err := writeMod(tempMod, f.mod); err != nil {
		return err
	}
	own, others, err := splitSums(sum)
	if err != nil {
		return err
	}
	if err := writeSums(tempSum, others); err != nil {
		return err
	}
	args := []string{"mod", "tidy", "-modfile=" + tempMod}
	if diff {
		args = append(args, "-diff")
	}
	env := append(os.Environ(), "GOWORK=off")
	fmt.Printf("+ go mod tidy (%s)\n", f.name)
	if err := runIn(ctx, filepath.Join(root, f.name), env, "go", args...); err != nil || diff {
		return err
	}
	tidied, err := readMod(tempMod)
	if err != nil {
		return err
	}
	for path := range at {
		if err := tidied.DropReplace(path, ""); err != nil {
			return err
		}
	}
	if _, others, err = splitSums(tempSum); err != nil {
		return err
	}
	if err := writeMod(mod, tidied); err != nil {
		return err
	}
	return writeSums(sum, slices.Concat(own, others))
}

// writeSums writes the lines of a go.sum in the order of the go command.
func writeSums(name string, lines []string) error {
	slices.SortFunc(lines, bySum)
	return os.WriteFile(name, []byte(strings.Join(lines, "")), 0o644)
}

// bySum orders the lines of a go.sum as the go command does.
func bySum(a, b string) int {
	pathA, versionA, _ := strings.Cut(a, " ")
	pathB, versionB, _ := strings.Cut(b, " ")
	versionA, fileA, _ := strings.Cut(strings.Fields(versionA)[0], "/")
	versionB, fileB, _ := strings.Cut(strings.Fields(versionB)[0], "/")
	return cmp.Or(
		strings.Compare(pathA, pathB), semver.Compare(versionA, versionB), strings.Compare(fileA, fileB))
}
