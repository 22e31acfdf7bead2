package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// compareWithGit commits and tags the copy, and compares the checksums of the modules in the proxy
// with those that Go finds in the repository without a proxy.
func (r *release) compareWithGit(ctx context.Context, dir string) error {
	env := append(slices.Clone(r.env), "GOPROXY=direct", "GOMODCACHE="+filepath.Join(dir, "direct"),
		"GIT_AUTHOR_NAME=release", "GIT_AUTHOR_EMAIL=release@example.com",
		"GIT_COMMITTER_NAME=release", "GIT_COMMITTER_EMAIL=release@example.com",
		"GIT_ALLOW_PROTOCOL=https:file", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=url.file://"+r.tree+".insteadOf",
		"GIT_CONFIG_VALUE_0=https://"+library)
	commands := [][]string{
		{"init", "-q"}, {"add", "-f", "."}, {"commit", "-q", "-m", r.version},
	}
	for _, f := range r.folders {
		if f.tagged() {
			commands = append(commands, []string{"tag", f.tag(r.version)})
		}
	}
	for _, args := range commands {
		if err := runIn(ctx, r.tree, env, "git", args...); err != nil {
			return err
		}
	}
	for _, f := range r.folders {
		if !f.tagged() {
			continue
		}
		inProxy, err := sum(ctx, dir, r.env, f.path()+"@"+r.version)
		if err != nil {
			return err
		}
		inGit, err := sum(ctx, dir, env, f.path()+"@"+r.version)
		if err != nil {
			return err
		}
		if inProxy != inGit {
			return fmt.Errorf("%s: %s in the proxy, %s in git", f.path(), inProxy, inGit)
		}
		fmt.Println("  the tagged commit has", f.path(), inGit)
	}
	return nil
}

// sum returns the checksum of a module.
func sum(ctx context.Context, dir string, env []string, m string) (string, error) {
	var answer struct{ Sum, Error string }
	text, err := outputEnv(ctx, dir, env, "go", "mod", "download", "-json", m)
	if err == nil {
		err = json.Unmarshal([]byte(text), &answer)
	}
	if err == nil && answer.Error != "" {
		err = errors.New(strings.TrimSpace(answer.Error))
	}
	return answer.Sum, err
}
