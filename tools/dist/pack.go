package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers its format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers its format
)

// debPaths are the files that Debian has elsewhere: its zsh does not search site-functions.
var debPaths = map[string]string{
	"/usr/share/zsh/site-functions/_holdfast": "/usr/share/zsh/vendor-completions/_holdfast",
}

// pack writes a package of the program and the extras.
func (d *dist) pack(p platform, format, program string) error {
	content := func(source, to string, mode os.FileMode) *files.Content {
		return &files.Content{
			Source: source, Destination: to,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: d.at},
		}
	}
	contents := files.Contents{content(program, "/usr/bin/holdfast", 0o755)}
	for _, f := range d.extras {
		if f.installed != "" {
			to := f.installed
			if deb := debPaths[to]; format == "deb" && deb != "" {
				to = deb
			}
			contents = append(contents, content(f.source, to, f.mode))
		}
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "holdfast", Arch: p.arch, Platform: "linux", Version: d.version, MTime: d.at,
		Section: "admin", Priority: "optional", License: "Apache-2.0",
		Maintainer:  "the holdfast authors <holdfast@example.com>",
		Homepage:    "https://github.com/holdfast-go/holdfast",
		Description: "Locks, elections, queues, schedules, shards and more on etcd",
		Overridables: nfpm.Overridables{
			Contents: contents,
			RPM:      nfpm.RPM{BuildHost: "localhost"},
		},
	})
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := packager.Package(info, &b); err != nil {
		return err
	}
	name := packager.ConventionalFileName(info)
	return os.WriteFile(filepath.Join(d.out, name), b.Bytes(), 0o644)
}
