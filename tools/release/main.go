// Command release prepares a release of all modules of the repository, and checks one like a
// stranger.
//
// # Usage
//
//	go run -C tools ./release check
//	go run -C tools ./release prepare v0.2.0
//	go run -C tools ./release tidy [-diff]
//
// check prepares a release of the tree in a temporary folder, and puts its modules into a module
// proxy of files. From that it vets each module alone, installs the command from an empty folder,
// and builds and tests a program that imports the library. It tags a commit of the copy and
// compares the checksums of the modules with those that Go finds in it.
//
// prepare makes the modules of the working tree require each other at a version, with the
// checksums that the modules will have. The result is to be committed and tagged as one commit.
//
// tidy runs go mod tidy in each module of go.work, which does not know that the modules that it
// looks for are in the tree. With -diff it changes nothing.
//
// docs/release.md has the steps of a release.
//
// # Limitations
//
// Modules of others come from the module cache or from GOPROXY. check does not compare their
// checksums with the checksum database, because go.sum has them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/mod/semver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1) //nolint:gocritic // the process ends, and the signals with it
	}
}

func run(ctx context.Context, args []string) error {
	root, err := output(ctx, "", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "check":
		return check(ctx, root)
	case len(args) == 2 && args[0] == "prepare" && semver.Canonical(args[1]) == args[1]:
		return prepareTree(ctx, root, args[1])
	case len(args) == 1 && args[0] == "tidy":
		return tidy(ctx, root, false)
	case len(args) == 2 && args[0] == "tidy" && args[1] == "-diff":
		return tidy(ctx, root, true)
	}
	return fmt.Errorf("usage: release check | prepare VERSION | tidy [-diff]")
}
