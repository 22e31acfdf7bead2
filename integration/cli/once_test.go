package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lines returns the number of lines that the commands of a test have added to a file.
func lines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// TestOnce: of several callers one runs the command, and all print its output.
func TestOnce(t *testing.T) {
	t.Parallel()
	name, log := fresh(t), filepath.Join(t.TempDir(), "runs")
	script := "echo run >> " + log + "; read x < " + log +
		".go; echo the result; echo $HOLDFAST_ATTEMPT"
	if err := syscall.Mkfifo(log+".go", 0o600); err != nil {
		t.Fatal(err)
	}
	runner := start(t, "once", name, "--", "sh", "-c", script)
	eventually(t, "run", func() bool { return len(members(t, newClient(t), name)) == 1 })
	eventually(t, "start", func() bool { _, err := os.Stat(log); return err == nil })
	if text := complain(t, 1, "once", name, "--", "false"); !strings.Contains(text, "held by") {
		t.Errorf("a second caller: %s", text)
	}
	waiting := start(t, "once", "--wait", name, "--", "sh", "-c", script)
	eventually(t, "wait", func() bool { return len(members(t, newClient(t), name)) == 2 })
	if err := os.WriteFile(log+".go", []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "the result\n1"
	for _, r := range []*running{runner, waiting} {
		r.want(0)
		if got := r.rest(); got != want {
			t.Errorf("printed %q", got)
		}
	}
	later := start(t, "once", name, "--", "false")
	later.want(0)
	if got := later.rest(); got != want {
		t.Errorf("a later caller printed %q", got)
	}
	if n := lines(t, log); n != 1 {
		t.Errorf("%d runs", n)
	}
	object := hf(t, 0, "once", name, "--json", "--", "false")
	for _, part := range []string{`"value":"the result\n1\n"`, `"ran":false`, `"attempt":1`} {
		if !strings.Contains(object, part) {
			t.Errorf("%s lacks %s", object, part)
		}
	}
}

// TestOnceFails: a command that fails gives its status. The failure of the last run is the result.
func TestOnceFails(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	args := []string{"once", "--max-attempts", "2", name, "--", "sh", "-c"}
	first := start(t, append(args, "echo some output; exit 3")...)
	first.want(3)
	if got := first.rest(); got != "some output" {
		t.Errorf("printed %q", got)
	}
	waiting := start(t, append(args, "kill -9 $$")...)
	waiting.want(128 + 9)
	for _, wait := range []string{"--wait=false", "--wait"} {
		text := complain(t, 128+9, "once", wait, name, "--", "true")
		if !strings.Contains(text, "failed after 2 attempts") {
			t.Errorf("a later caller: %s", text)
		}
	}
	hf(t, 127, "once", fresh(t), "--", "no-such-command")
	complain(t, 64, "once", fresh(t))
	complain(t, 64, "once", "--max-attempts", "-1", fresh(t), "--", "true")
}

// TestOnceOutputTooLong: an output that is no result is a failure.
func TestOnceOutputTooLong(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	out := filepath.Join(t.TempDir(), "out")
	r := launch(t, "/bin/sh", nil, nil, "-c",
		program+" once "+name+" -- head -c 1048577 /dev/zero >"+out)
	r.want(70)
	if text := r.stderr.String(); !strings.Contains(text, "more than 1048576 bytes") {
		t.Errorf("%s", text)
	}
	if info, err := os.Stat(out); err != nil || info.Size() != 1048576 {
		t.Errorf("the output: %v, %v", info, err)
	}
	for _, command := range []string{"head -c 1048576 /dev/zero", "false"} {
		r := launch(t, "/bin/sh", nil, nil, "-c", program+" once --wait "+name+" -- "+command+" | wc -c")
		r.want(0)
		if n := strings.TrimSpace(r.rest()); n != "1048576" {
			t.Errorf("%s: printed %s bytes", command, n)
		}
	}
}

// awaitCommandsEnd waits until the command of a holdfast has ended and holdfast waits for its
// output. left is a process that the command has left running.
func awaitCommandsEnd(t *testing.T, r *running, left string) {
	t.Helper()
	eventually(t, "end of the command", func() bool {
		out, err := exec.Command("ps", "-o", "ppid=", "-p", left).Output()
		parent := strings.TrimSpace(string(out))
		return err == nil && parent == strconv.Itoa(r.cmd.Process.Pid) || parent == "1"
	})
}

// TestOnceEndedWhileTheOutputIsOpen: a signal ends the wait for a process that the command has left
// with its output, and holdfast exits with the status of the signal.
func TestOnceEndedWhileTheOutputIsOpen(t *testing.T) {
	t.Parallel()
	name, left := fresh(t), filepath.Join(t.TempDir(), "left")
	runner := start(t, "once", name, "--", "sh", "-c",
		"sleep 60 & echo $! >"+left+".new; mv "+left+".new "+left)
	eventually(t, "process", func() bool { _, err := os.Stat(left); return err == nil })
	pid, err := os.ReadFile(left)
	if err != nil {
		t.Fatal(err)
	}
	defer endProcess(t, strings.TrimSpace(string(pid)))
	awaitCommandsEnd(t, runner, strings.TrimSpace(string(pid)))
	runner.signal(syscall.SIGTERM)
	runner.want(128 + int(syscall.SIGTERM))
	if text := runner.stderr.String(); !strings.Contains(text, "ended by signal") {
		t.Errorf("%s", text)
	}
	if got := hf(t, 0, "once", "--wait", name, "--", "echo", "later"); got != "later" {
		t.Errorf("a later caller printed %q", got)
	}
}

// TestOnceKilled: if the process of a run is killed, another caller runs the command.
func TestOnceKilled(t *testing.T) {
	t.Parallel()
	name, begun := fresh(t), filepath.Join(t.TempDir(), "begun")
	runner := start(t, "once", "--ttl", "2s", name, "--", "sh", "-c", "touch "+begun+"; sleep 60")
	eventually(t, "run", func() bool { return len(members(t, newClient(t), name)) == 1 })
	waiting := start(t, "once", "--wait", name, "--", "sh", "-c", "echo $HOLDFAST_ATTEMPT")
	eventually(t, "wait", func() bool { return len(members(t, newClient(t), name)) == 2 })
	eventually(t, "start", func() bool { _, err := os.Stat(begun); return err == nil })
	runner.signal(syscall.SIGKILL)
	waiting.want(0)
	if got := waiting.rest(); got != "2" {
		t.Errorf("printed %q", got)
	}
}

// TestOnceKeep: a result is kept for as long as --keep says.
func TestOnceKeep(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	if got := hf(t, 0, "once", "--keep", "2s", name, "--", "echo", "first"); got != "first" {
		t.Errorf("printed %q", got)
	}
	eventually(t, "expiry", func() bool {
		return hf(t, 0, "once", "--keep", "2s", name, "--", "echo", "second") == "second"
	})
}

// TestOnceInCrontabs: the crontabs of three hosts, whose clocks are 90 s apart, start the job of a
// night one after the other. The first one runs it.
func TestOnceInCrontabs(t *testing.T) {
	t.Parallel()
	dir, name := t.TempDir(), fresh(t)
	log := filepath.Join(dir, "runs")
	// The clock of a host stands. It may show the evening before, so that only the date counts.
	date := "#!/bin/sh\nexec /bin/date -u -d @$CLOCK \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "date"), []byte(date), 0o700); err != nil {
		t.Fatal(err)
	}
	line := program + " once " + name + `"/backup/$(date +%F)" --keep 48h -- ` +
		`sh -c 'echo ran >> ` + log + `; echo the result'`
	two := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
	for _, ahead := range []time.Duration{90 * time.Second, 0, -90 * time.Second} {
		host := launch(t, "/bin/sh", []string{
			"PATH=" + dir + ":" + os.Getenv("PATH"),
			"CLOCK=" + strconv.FormatInt(two.Add(ahead).Unix(), 10),
		}, nil, "-c", line)
		host.want(0)
		if got := host.rest(); got != "the result" {
			t.Errorf("the host that is %v ahead printed %q", ahead, got)
		}
	}
	if n := lines(t, log); n != 1 {
		t.Errorf("%d runs", n)
	}
}
