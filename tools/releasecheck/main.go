// Command releasecheck makes a release of the tree in temporary folders and uses it like a
// stranger.
//
// # Usage
//
//	go run -C tools ./releasecheck -version v0.1.0
//
// It copies the files that git knows, takes the replace directives out as a release does, and puts
// the library and the command into a module proxy of files. From that it vets the command alone,
// installs it, and builds and tests a program that imports the library, in an empty folder.
//
// # Limitations
//
// No tag is made. The module of the examples, which nobody installs, is not looked at. Modules of
// others come from the module cache or from GOPROXY. Their checksums are not compared with the
// checksum database.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const library = "github.com/holdfast-go/holdfast"

// command is the folder of the module that is tagged after the library.
const command = "cmd/holdfast"

func main() {
	version := flag.String("version", "v0.1.0", "version of all modules")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := check(ctx, *version); err != nil {
		fmt.Fprintln(os.Stderr, "releasecheck:", err)
		os.Exit(1) //nolint:gocritic // the process ends, and the signals with it
	}
}

// check runs all steps in a temporary folder.
func check(ctx context.Context, version string) (err error) {
	dir, err := os.MkdirTemp("", "releasecheck")
	if err != nil {
		return err
	}
	defer func() {
		if removed := os.RemoveAll(dir); err == nil {
			err = removed
		}
	}()
	r, err := newRelease(ctx, dir, version)
	if err != nil {
		return err
	}
	if err := r.publish(""); err != nil {
		return err
	}
	if err := r.detach(ctx, command); err != nil {
		return err
	}
	if err := r.publish(command); err != nil {
		return err
	}
	if err := r.install(ctx, filepath.Join(dir, "empty")); err != nil {
		return err
	}
	return r.use(ctx, filepath.Join(dir, "program"))
}
