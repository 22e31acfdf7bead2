// Command image writes a root file system that contains only etcd, as a tar archive for
// "docker import":
//
//	go run ./image 3.6 | docker import - holdfast-etcd:3.6
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

func main() {
	version := etcdproc.DefaultVersion
	if len(os.Args) > 1 {
		version = os.Args[1]
	}
	if err := write(os.Stdout, version); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write puts the server at the path that the testcontainers module for etcd expects. The server is
// linked statically.
func write(w io.Writer, version string) error {
	if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
		return err
	}
	path, err := etcdproc.Binary(version)
	if err != nil {
		return err
	}
	program, err := os.Open(path)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Stat()
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, dir := range []string{"tmp/", "usr/", "usr/local/", "usr/local/bin/"} {
		if err := archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeDir, Name: dir,
			Mode: 0o755,
		}); err != nil {
			return err
		}
	}
	if err := archive.WriteHeader(&tar.Header{
		Name: "usr/local/bin/etcd", Mode: 0o755,
		Size: info.Size(),
	}); err != nil {
		return err
	}
	if _, err := io.Copy(archive, program); err != nil {
		return err
	}
	return archive.Close()
}
