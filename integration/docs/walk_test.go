package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/internal/ports"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// saveAs matches the paragraph before a block that is to be saved in a file.
var saveAs = regexp.MustCompile("Save as\\s`([^`]+)`:$")

// walk does the steps of a page: it saves the files, runs the blocks of the shell, and compares
// their output with the blocks of text after them.
func walk(t *testing.T, s *terminal, page string) {
	t.Helper()
	var last block
	compared := 0
	for _, b := range blocks(t, page) {
		if b.lang == "text" {
			s.expect(b)
			compared++
			continue
		}
		if m := saveAs.FindStringSubmatch(b.before); m != nil {
			s.save(m[1], b.text)
			continue
		}
		if b.lang == "sh" {
			s.quiet(last)
			s.run(b)
			last = b
		}
	}
	s.quiet(last)
	if compared == 0 {
		t.Errorf("%s shows no output", page)
	}
}

// save writes a file of the page into the folder in which the shell is.
func (s *terminal) save(name, text string) {
	s.t.Helper()
	s.run(block{text: "mkdir -p \"$(dirname " + name + ")\"; pwd > " + s.dir + "/.pwd\n"})
	where := strings.TrimSpace(read(s.t, filepath.Join(s.dir, ".pwd")))
	text = s.replace.Replace(text)
	if err := os.WriteFile(filepath.Join(where, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestTheTutorialWorks does all steps of the tutorial. Three things differ: the ports of etcd, and
// the commands that download this library use this tree.
func TestTheTutorialWorks(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	if next := time.Now().Truncate(week).Add(week); time.Until(next) < 10*time.Minute {
		t.Skip("the schedule has a tick soon")
	}
	server, err := etcdproc.Binary(etcdproc.DefaultVersion)
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	bin, client, peer := t.TempDir(), freePort(t), freePort(t)
	script(t, filepath.Join(bin, "etcd"), "exec "+server+` "$@" --log-level=error --unsafe-no-fsync`+
		" --quota-backend-bytes=1073741824 --listen-client-urls=http://"+client+
		" --advertise-client-urls=http://"+client+" --listen-peer-urls=http://"+peer+
		" --initial-advertise-peer-urls=http://"+peer+
		" --initial-cluster=default=http://"+peer)
	s := newTerminal(t,
		[]string{
			"PATH=" + bin + ":" + os.Getenv("PATH"), "GOBIN=" + bin,
			"ETCDCTL_ENDPOINTS=" + client,
		},
		"127.0.0.1:2379", client,
		"go install "+module+"cmd/holdfast@latest", "go install -C "+top+"/cmd/holdfast .",
		"go get "+strings.TrimSuffix(module, "/")+"@latest", "go work init . "+top+" ",
	)
	walk(t, s, filepath.Join(root, "docs", "tutorial.md"))
}

// TestTheHowToPagesWork runs the commands of the pages, each on an etcd of its own.
func TestTheHowToPagesWork(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", root+"/cmd/holdfast", "-o",
		bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(root, "docs", "howto", "*.md"))
	if err != nil || len(found) < 6 {
		t.Fatalf("%q, %v", found, err)
	}
	ran := 0
	for _, page := range found {
		if !strings.Contains(read(t, page), "\n```sh\nholdfast ") {
			continue
		}
		ran++
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			c := etcdtest.Start(t, recipetest.Server(etcdproc.DefaultVersion))
			walk(t, newTerminal(t, []string{
				"PATH=" + bin + ":" + os.Getenv("PATH"),
				"ETCDCTL_ENDPOINTS=" + strings.Join(c.Endpoints(), ","),
			}), page)
		})
	}
	if ran < 4 {
		t.Errorf("only %d pages have commands", ran)
	}
}

// freePort returns an address on which the test may listen.
func freePort(t *testing.T) string {
	t.Helper()
	p, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	})
	return p.Addr()
}

// script writes a program for the shell.
func script(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}
